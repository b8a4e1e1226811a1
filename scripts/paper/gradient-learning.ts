import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import { appliedTo } from '../../src/node/applied.js'
import { evaluateRows, type Predictions } from '../../src/node/evaluation.js'
import { Host, UNLIMITED } from '../../src/node/host/host.js'
import type { LentModel } from '../../src/node/host/lent-model.js'
import { type JoinedJob, Jobs } from '../../src/node/jobs.js'
import { sourceInFolder } from '../../src/node/model-source.js'
import { MIXED, parseTrainOptions } from '../../src/node/trainer/options.js'
import { OwnHost } from '../../src/node/trainer/own-host.js'
import { trainAt } from '../../src/node/trainer/train.js'
import type { TrainingData } from '../../src/node/trainer/training-data.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import { Traffic } from '../../src/protocols/traffic.js'
import type { AuxiliaryKind, Merge, Mode } from '../../src/types.js'
import { LockStep } from './lock-step.js'
import type { UserResult } from './result.js'
import { type Settings, trainOptionsOf, type User } from './task.js'

/** One who trains by Gradient Learning. */
export interface GradientLearningUser extends User {
  readonly kind: AuxiliaryKind
  /** Whose held-out rows are predicted at the end. */
  readonly read: Pick<TrainingData, 'heldOut'>
}

export interface GradientLearningOptions {
  /** Folder of the base model. */
  readonly model: string
  readonly settings: Settings
  readonly mode: Mode
  readonly merge: Merge
  readonly seed: number
  /** An empty one, for checkpoints and adapters. */
  readonly folder: string
  readonly signal: AbortSignal
}

/** Nobody is waited for: all are in this process. In seconds. */
const PATIENCE = 60

/**
 * Gradient Learning as `colanet train --local` does it, by one user or by several of one job, each with its own auxiliary,
 * keys and optimiser, at one host in this process.
 */
export async function trainByGradientLearning (lent: LentModel, users: readonly GradientLearningUser[], options: GradientLearningOptions): Promise<UserResult[]> {
  const { model, settings, mode, merge, seed, folder } = options
  const kinds = [...new Set(users.map(({ kind }) => kind))]
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  const store = new BlobStore() // of all, so that nothing has to be pulled
  const jobs = async (): Promise<Jobs> => new Jobs({ identity: await generateKeyPair('Ed25519'), store, log: () => {} })
  const host = new Host({ model: lent, jobs: await jobs(), limits: UNLIMITED })
  const steps = new LockStep(host.jobs, users.length, signal)
  const train = async ({ name, kind, data }: GradientLearningUser): Promise<{ losses: readonly number[], joined: JoinedJob }> => {
    const own = await jobs()
    const { losses, job } = await trainAt({
      source: sourceInFolder(model, lent.info),
      jobs: own,
      runner: (joined, wanted) => steps.runner(joined, new OwnHost(host, peerIdFromString(own.peer), joined, wanted)),
      peer: null,
      traffic: new Traffic(),
      lasting: false
    }, parseTrainOptions({
      ...trainOptionsOf({ model, settings }, { name, data }, kind, seed), aux: kinds.join(MIXED), ownAux: kind, mode, merge, members: users.length, patience: PATIENCE
    }), { folder: join(folder, name), engine: lent.engine.name, reporter: { progress: () => {}, log: () => {} }, signal })
    const joined = own.get(job)
    if (joined === undefined) throw new Error(`job ${job} was forgotten`)
    return { losses, joined }
  }
  const trained = await Promise.all(users.map(async user => await train(user).catch((error: unknown) => {
    failed.abort(error)
    throw error
  })))
  const results: UserResult[] = []
  for (const [k, { losses, joined }] of trained.entries()) {
    const { name, read } = users[k]
    const heldOut = await evaluateRows(predictions(lent, joined), read.heldOut, { signal, onProgress: () => {} })
    results.push({ user: name, losses, heldOut, parameters: parametersOf(joined) })
  }
  return results
}

/** The base model with what this member's rows meet at the end. */
function predictions (lent: LentModel, { peer, job, id, members }: JoinedJob): Predictions {
  const { merged, beside, version } = appliedTo(peer, job, members, 'evaluate')
  return {
    info: lent.info,
    pass: async (batches, { logits = false }) => await lent.pass({
      sites: [],
      logits,
      merged: merged === undefined ? null : { state: `${id}/${version ?? ''}`, members: merged },
      parts: batches.map(batch => ({ batch, beside }))
    })
  }
}

function parametersOf ({ peer, members }: JoinedJob): number {
  const own = members.held.find(member => member.peer === peer)
  return [...own?.adapter.values() ?? []].flatMap(tensors => [...tensors.values()]).reduce((sum, { values }) => sum + values.length, 0)
}
