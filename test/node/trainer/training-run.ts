import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import { countedByRow } from '../../../src/model/tasks/tasks.js'
import { Host } from '../../../src/node/host/host.js'
import type { LocalModel } from '../../../src/node/host/local-model.js'
import { Jobs } from '../../../src/node/jobs.js'
import { CheckpointFile, type Progress } from '../../../src/node/trainer/checkpoint.js'
import { startLearner } from '../../../src/node/trainer/fits/start-learner.js'
import { parseTrainOptions } from '../../../src/node/trainer/options.js'
import { OwnHost } from '../../../src/node/trainer/own-host.js'
import { planOf } from '../../../src/node/trainer/plan.js'
import { standingIn } from '../../../src/node/trainer/standing.js'
import type { StepRunner } from '../../../src/node/trainer/step-runner.js'
import { Training } from '../../../src/node/trainer/training.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import type { AdapterTensors, Batch } from '../../../src/types.js'
import { withValues } from '../../support/batch.js'

/** Of the command line. */
type Options = Partial<Parameters<typeof parseTrainOptions>[0]>

export interface Ran {
  readonly losses: readonly number[]
  readonly adapter: AdapterTensors
  readonly stale: Progress['stale']
}

export interface RunInit {
  readonly model: LocalModel
  /** Its folder. */
  readonly folder: string
  /** The batch of a step is this one with other tokens. */
  readonly batch: Batch
  /** Where checkpoints are kept. */
  readonly checkpoints: string
}

/** Trainers that have a host in this process, and of which nothing stays but their checkpoints. */
export class TrainingRun {
  readonly #init: RunInit

  constructor (init: RunInit) {
    this.#init = init
  }

  batchAt (step: number): Batch {
    const { batch, model: { info: { vocabSize } } } = this.#init
    const others = (values: Int32Array): Int32Array => values.map(token => token < 0 ? token : (token + 5 * step) % vocabSize)
    return withValues(withValues(batch, 'input_ids', others), 'labels', others)
  }

  parse (options: Options): ReturnType<typeof parseTrainOptions> {
    const { folder } = this.#init
    return parseTrainOptions({ model: folder, batch: join(folder, 'batch.safetensors'), rank: 2, lr: 0.1, schedule: 'constant', steps: 9, seed: 5, ...options })
  }

  /** From where the checkpoint of the same run has it, if there is one. */
  async run (name: string, given: Options, { wrap = runner => runner, signal = new AbortController().signal }: {
    readonly wrap?: (runner: StepRunner, training: () => Training) => StepRunner
    readonly signal?: AbortSignal
  } = {}): Promise<Ran> {
    const { model, checkpoints } = this.#init
    const options = this.parse(given)
    const plan = await planOf(options, model.info)
    const jobs = new Jobs({ identity: await generateKeyPair('Ed25519'), store: new BlobStore(), log: error => { throw error as Error } })
    const joined = jobs.join(plan.job, plan.sites)
    const checkpoint = new CheckpointFile(join(checkpoints, `${name}.safetensors`), name)
    const saved = await checkpoint.load()
    const learner = await startLearner(options, { ...plan, start: saved?.adapter ?? plan.start }, {}, () => {})
    try {
      if (saved !== undefined) await learner.restore(saved.learner)
      const own = new OwnHost(new Host({ model, jobs }), peerIdFromString(jobs.peer), joined, { wire: options.wire === 'auto' ? 'factors' : options.wire, auxiliary: plan.auxiliary, sites: plan.fitted })
      const runner = wrap(own, () => training)
      const training: Training = new Training({
        joined,
        runner,
        learner,
        standing: await standingIn(joined, learner),
        at: async step => await Promise.resolve(this.batchAt(step)),
        counts: batch => countedByRow(batch, model.info),
        checkpoint,
        expected: 1,
        steps: options.steps,
        pace: options,
        unit: 'tokens',
        reporter: { log: () => {}, progress: () => {} }
      }, saved?.progress ?? { step: 0, tokens: 0, losses: [], milliseconds: 0, sharedSteps: 0, baseLoss: null, stale: { refused: 0, decayed: 0 } }, saved?.older)
      await runner.open(signal)
      await training.contribute(training.progress.step === options.steps)
      await training.run(signal)
      const { losses, stale } = training.progress
      return { losses, stale, adapter: await learner.adapter() }
    } finally {
      await learner.dispose()
    }
  }
}
