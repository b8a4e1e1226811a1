import type { PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Job } from '../../src/job.js'
import type { Host, HostedStep } from '../../src/node/host/host.js'
import { type JoinedJob, Jobs } from '../../src/node/jobs.js'
import type { BlobStore } from '../../src/protocols/blob/index.js'
import type { AdapterTensors, AuxiliarySpec, Batch, Site, WireForm } from '../../src/types.js'

export interface TrainerInit {
  readonly identity: PrivateKey
  readonly host: Host
  /** The host's too, so that nothing has to be pulled. */
  readonly store: BlobStore
  readonly job: Job
  readonly spec: AuxiliarySpec
  /** What it contributes: auxiliaries of those sites that it fits. */
  readonly adapter: AdapterTensors
  /** That it has trained on so far, which it weighs. */
  readonly tokens: number
}

const forever = new AbortController().signal

/** A member of a job in the host's process: what it contributes the host has at once. */
export class Trainer {
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
  readonly tokens: number
  /** That it fits. */
  readonly sites: readonly Site[]
  /** The job as this trainer has it. */
  readonly joined: JoinedJob
  readonly #host: Host
  readonly #peer: PeerId

  private constructor ({ identity, host, store, job, spec, adapter, tokens }: TrainerInit) {
    const { sites } = host.open(job)
    this.spec = spec
    this.adapter = adapter
    this.tokens = tokens
    this.sites = sites.filter(({ name }) => adapter.has(name))
    this.joined = new Jobs({ identity, store, log: error => { throw error } }).join(job, sites)
    this.#host = host
    this.#peer = peerIdFromPrivateKey(identity)
  }

  static async join (init: TrainerInit): Promise<Trainer> {
    const trainer = new Trainer(init)
    const { joined, adapter, tokens } = trainer
    const record = await joined.contribute(adapter, { tokens, final: false })
    await init.host.jobs.join(joined.job, joined.sites).members.fetch(record, forever)
    return trainer
  }

  /**
   * A training step of this trainer's rows. Those that are asked for at the same moment are one pass.
   *
   * @param options.adapted whether contributions are applied; without, the base model alone is run
   */
  async step (batch: Batch, { wire = 'f32', adapted = true }: { readonly wire?: WireForm, readonly adapted?: boolean } = {}): Promise<HostedStep> {
    const sites = this.sites.map(({ name }) => name)
    return await this.#host.step(this.#peer, { job: this.joined.id, step: 0, purpose: 'train', adapted, wire, sites, contribution: null, batch }, 'tensors', forever)
  }
}
