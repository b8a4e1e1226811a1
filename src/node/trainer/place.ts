import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import type { EngineOptions } from '../../engine/open-engine.js'
import { InvalidOptionError } from '../../errors.js'
import { BlobStore } from '../../protocols/blob/index.js'
import { Traffic } from '../../protocols/traffic.js'
import { Host, UNLIMITED } from '../host/host.js'
import { ModelThread } from '../host/model-thread.js'
import { inviteToJob } from '../invite.js'
import { Jobs, type JoinedJob } from '../jobs.js'
import { isFolder, modelInFolder, modelInMesh, type ModelSource, sourceInFolder } from '../model-source.js'
import type { ColaNode } from '../node.js'
import type { Reporter } from '../reporter.js'
import { sayingWhatFor, waitingForHost } from '../waiting.js'
import { type HostChoice, MeshHosts } from './mesh-hosts.js'
import type { TrainOptions } from './options.js'
import { OwnHost } from './own-host.js'
import type { Plan } from './plan.js'
import type { StepRunner } from './step-runner.js'
import type { Wanted } from './wire-form.js'

export interface TrainContext {
  /** Where checkpoints are kept, and adapters unless told otherwise. */
  readonly folder: string
  readonly engine: string
  readonly reporter: Reporter
  readonly signal: AbortSignal
  /** Id of the job that it has to be. @default whatever the options say */
  readonly expected?: string
}

/** Where a job is trained. */
export interface Place {
  readonly source: ModelSource
  readonly jobs: Jobs
  readonly runner: (joined: JoinedJob, wanted: Wanted) => StepRunner
  readonly peer: string | null
  /** What goes over the wire. */
  readonly traffic: Traffic
  /** What others join the job with, where they can. */
  readonly invite?: (plan: Plan) => string | undefined
  /** Whether the same command again shall find the job done, and not begin anew. */
  readonly lasting: boolean
}

/** What a trainer is given whose engine is opened for it. */
export type LocalContext = Omit<TrainContext, 'engine'>

/** Of who trains without a network: the same in every run, as masks of dropout are drawn from it. */
const LOCAL_IDENTITY = new Uint8Array(32)

/**
 * In this process, without a network, with a base model that is opened for the work and closed after it.
 *
 * @throws {InvalidOptionError} if the model is no folder; what `ModelThread.open` throws
 */
export async function locally<T> (
  options: TrainOptions, context: LocalContext, engine: EngineOptions, work: (place: Place, context: TrainContext) => Promise<T>
): Promise<T> {
  if (!await isFolder(options.model)) throw new InvalidOptionError(`${options.model} is not a folder; --local needs the base model's folder`)
  const model = await ModelThread.open({ folder: options.model, dtype: options.dtype, baseQuantize: options.baseQuantize, log: line => context.reporter.log(line), ...engine })
  context.reporter.log(`computes on ${model.engine.description}`)
  try {
    const jobs = new Jobs({ identity: await generateKeyPairFromSeed('Ed25519', LOCAL_IDENTITY), store: new BlobStore(), log: error => context.reporter.log(String(error)) })
    const host = new Host({ model, jobs, limits: UNLIMITED })
    return await work({
      source: sourceInFolder(options.model, model.info),
      jobs,
      runner: (joined, wanted) => new OwnHost(host, peerIdFromString(jobs.peer), joined, wanted),
      peer: null,
      traffic: new Traffic(), // nothing does
      lasting: false
    }, { ...context, engine: model.engine.name })
  } finally {
    await model.dispose()
  }
}

/**
 * At the hosts of a mesh, or at the node's own where it serves the wanted model.
 *
 * @throws {NoHostError} if there is none
 */
export async function meshPlace (node: ColaNode, options: TrainOptions, { reporter, signal }: TrainContext, own: Host | undefined): Promise<Place> {
  const choice: HostChoice = { peer: undefined }
  const patience = options.patience * 1000
  const source = await isFolder(options.model)
    ? await modelInFolder(options.model, options)
    : await sayingWhatFor(waitingForHost(options.model, patience), line => reporter.log(line), modelInMesh(node, options.model, patience, signal))
  return {
    source,
    jobs: node.jobs,
    runner: (joined, wanted) => own?.model.info.id === source.info.id
      ? new OwnHost(own, node.mesh.peerId, joined, wanted)
      : new MeshHosts({ node, joined, model: source.info, wanted, patience, choice, reporter }),
    peer: node.mesh.peerId.toString(),
    traffic: node.traffic,
    invite: plan => inviteToJob(node.mesh, options, plan),
    lasting: true
  }
}
