import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Job } from '../../src/job.js'
import type { ModelInfo } from '../../src/model/base-model.js'
import { selectSites } from '../../src/model/sites.js'
import { Host, type HostedStep } from '../../src/node/host/host.js'
import type { LentModel } from '../../src/node/host/lent-model.js'
import { type JoinedJob, Jobs } from '../../src/node/jobs.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import type { ContributionRecord } from '../../src/protocols/contribution/index.js'
import type { Batch, Mode, Site } from '../../src/types.js'
import { LORA } from './random-adapter.js'

/** LoRA at every c_attn: what everything here trains. */
export function cAttnJob (info: ModelInfo, mode: Mode, name = 'bench'): { readonly job: Job, readonly sites: readonly Site[] } {
  const chosen = [...selectSites(info, ['c_attn'])].sort((a, b) => a.name < b.name ? -1 : 1)
  const { kind, ...auxiliary } = LORA
  const merge = mode === 'collaboration' ? 'during' : 'never'
  return { job: { name, model: info.id, sites: chosen.map(({ name }) => name), auxiliary, kinds: [kind], mode, merge, interval: 1, seed: 0 }, sites: chosen }
}

/** Jobs of a node without a network, whose blobs are in a store that others may share. */
export async function jobsOfNewPeer (store: BlobStore): Promise<Jobs> {
  return new Jobs({ identity: await generateKeyPair('Ed25519'), store, log: error => process.stderr.write(`${String(error)}\n`) })
}

/** A host in this process, at which the job is open. */
export class OpenHost {
  readonly host: Host
  readonly #joined: JoinedJob
  readonly #peer: PeerId

  private constructor (host: Host, joined: JoinedJob, peer: PeerId) {
    this.host = host
    this.#joined = joined
    this.#peer = peer
  }

  static async open (model: LentModel, mode: Mode, store = new BlobStore()): Promise<OpenHost> {
    const jobs = await jobsOfNewPeer(store)
    const host = new Host({ model, jobs })
    const { job, sites } = cAttnJob(model.info, mode)
    host.open(job)
    return new OpenHost(host, jobs.join(job, sites), peerIdFromString(jobs.peer))
  }

  /** A training step of the base model alone, or of a trainer with its auxiliary. */
  async step (batch: Batch, signal: AbortSignal, contribution: ContributionRecord | null = null): Promise<HostedStep> {
    const peer = contribution === null ? this.#peer : peerIdFromString(contribution.peer)
    const { id, job: { sites } } = this.#joined
    return await this.host.step(peer, { job: id, step: 0, purpose: 'train', adapted: contribution !== null, wire: 'f32', sites: [...sites], contribution, batch }, 'tensors', signal)
  }
}
