import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { RefusedError } from '../../../src/errors.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import { createLearner, planOf } from '../../../src/node/trainer/plan.js'
import type { Step, StepRunner } from '../../../src/node/trainer/step-runner.js'
import type { Training } from '../../../src/node/trainer/training.js'
import type { AdapterTensors, Batch } from '../../../src/types.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'
import { failureOf } from '../../support/failure.js'
import { FIXTURES, readBatch } from '../../support/fixtures.js'
import { temporaryFolder } from '../../support/temporary-folder.js'
import { trainDelayed } from './delayed-gradients.js'
import { TrainingRun } from './training-run.js'

const FOLDER = join(FIXTURES, 'gpt2-odd')
const STEPS = 9

describe('training with steps that run ahead', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  let model: LocalModel
  let batch: Batch
  let trainer: TrainingRun

  before(async () => {
    await startBackend()
    model = await LocalModel.open(FOLDER, {}, () => {})
    batch = await readBatch('gpt2-odd')
  })
  after(async () => { await model.dispose() })
  beforeEach(() => { trainer = new TrainingRun({ model, folder: FOLDER, batch, checkpoints: folder() }) })

  describe('of which stale data are refused', () => {
    for (const mode of ['alone', 'collaboration'] as const) {
      for (const wire of ['factors', 'f32'] as const) {
        it(`gives to the bit what one step at a time gives, ${mode}, ${wire}`, async () => {
          for (const interval of [1, 2, 4]) {
            const serial = await trainer.run(`serial ${interval}`, { interval, mode, wire })
            expect(serial.losses).to.have.lengthOf(STEPS)
            for (const ahead of [1, 2, 4]) {
              expect(await trainer.run(`${ahead} of ${interval}`, { interval, mode, wire, ahead, stale: 'refuse' })).to.deep.equal(serial)
            }
          }
        })
      }
    }

    it('sends ahead what will not be refused: to the end of an interval', async () => {
      const sent: Array<readonly [step: number, done: number]> = []
      await trainer.run('sent', { ahead: 2, interval: 4 }, { wrap: watching(({ step }, { progress }) => sent.push([step, progress.step])) })
      expect(sent).to.deep.equal([[0, 0], [1, 0], [2, 0], [3, 1], [4, 4], [5, 4], [6, 4], [7, 5], [8, 8]])
    })

    it('asks again where a host has run an auxiliary that was fitted since, and counts it', async () => {
      const late = { ahead: 1, interval: 2, wire: 'f32' } as const
      const serial = await trainer.run('serial', late)
      const { stale, ...others } = await trainer.run('late', late, { wrap: lagging([2, 3, 6]) })
      expect({ ...others, stale: serial.stale }).to.deep.equal(serial)
      expect(stale).to.deep.equal({ refused: 3, decayed: 0 })
    })
  })

  describe('of which stale data count less', () => {
    for (const [ahead, interval] of [[1, 1], [2, 1], [3, 2], [2, 4], [4, 3]]) {
      for (const wire of ['factors', 'f32'] as const) {
        it(`is training with delayed gradients that are multiplied by (1 + s)^(-1/2), ${ahead} ahead, interval ${interval}, ${wire}`, async () => {
          const given = { ahead, interval, wire, stale: 'decay', optimizer: 'sgd', lr: 0.05, weightDecay: 0, alpha: 3 } as const
          const delayed = await simulated(given, fits => (1 + fits) ** -0.5)
          const { losses, adapter, stale } = await trainer.run('decay', given)
          expect(relativeError(losses, delayed.losses)).to.be.below(1e-6)
          expect(relativeError(flat(adapter), flat(delayed.adapter))).to.be.below(1e-4)
          const late = Array.from({ length: STEPS }, (_, step) => Math.floor(step / interval) > Math.floor(Math.max(0, step - ahead) / interval))
          expect(stale).to.deep.equal({ refused: 0, decayed: late.filter(Boolean).length })

          const unweighted = await simulated(given, () => 1)
          expect(relativeError(flat(adapter), flat(unweighted.adapter))).to.be.above(1e-2)
        })
      }
    }

    it('gives the same to the bit each time, alone and where it is the only member', async () => {
      const given = { ahead: 2, stale: 'decay', wire: 'factors' } as const
      const first = await trainer.run('first', given)
      expect(await trainer.run('second', given)).to.deep.equal(first)
      const merged = await trainer.run('merged', { ...given, mode: 'collaboration' })
      expect(await trainer.run('merged again', { ...given, mode: 'collaboration' })).to.deep.equal(merged)
      expect(relativeError(merged.losses, first.losses)).to.be.below(1e-4)
    })

    it('sends each step when the one so far before it is done, with what is fitted then', async () => {
      const sent: Array<readonly [step: number, done: number, round: number]> = []
      await trainer.run('sent', { ahead: 2, interval: 2, stale: 'decay' }, {
        wrap: watching(({ step, contribution }, { progress }) => sent.push([step, progress.step, contribution!.round]))
      })
      expect(sent).to.deep.equal(Array.from({ length: STEPS }, (_, step) => {
        const done = Math.max(0, step - 2)
        return [step, done, 1 + Math.floor(done / 2)]
      }))
    })

    it('counts a fit that changes nothing, as the first of a warm-up', async () => {
      const { stale } = await trainer.run('warm-up', { ahead: 2, stale: 'decay', schedule: 'linear', warmup: 0.5 })
      expect(stale).to.deep.equal({ refused: 0, decayed: STEPS - 1 })
    })

    it('is one step at a time where none runs ahead', async () => {
      const serial = await trainer.run('serial', { interval: 2 })
      expect(await trainer.run('none', { interval: 2, stale: 'decay' })).to.deep.equal(serial)
      expect(serial.stale).to.deep.equal({ refused: 0, decayed: 0 })
    })
  })

  for (const stale of ['refuse', 'decay'] as const) {
    it(`goes on to the bit as if it had not been ended, at whichever step, ${stale}`, async () => {
      for (const [ahead, interval, mode] of [[3, 1, 'alone'], [2, 2, 'collaboration'], [4, 3, 'alone']] as const) {
        const given = { ahead, interval, mode, stale, wire: 'f32' } as const
        const whole = await trainer.run(`whole, ${ahead}`, given)
        for (let step = 1; step < STEPS; step++) {
          const name = `${ahead}, ${interval}, ended in ${step}`
          await endedIn(step, name, given)
          await endedIn(Math.min(step + 2, STEPS - 1), name, given) // a second time, of what was resumed
          expect(await trainer.run(name, given), name).to.deep.equal(whole)
        }
        expect(await trainer.run(`whole, ${ahead}`, given)).to.deep.equal(whole) // it is done
      }
    })

    it(`loses nothing and counts nothing twice where hosts fail with steps under way, ${stale}`, async () => {
      const given = { ahead: 4, interval: 3, stale, wire: 'f32' } as const
      const whole = await trainer.run('whole', given)
      for (const seed of [1, 2, 3]) {
        const failures: number[] = []
        expect(await trainer.run(`failing ${seed}`, given, { wrap: failing(seeded(seed), failures) })).to.deep.equal(whole)
        expect(failures.length).to.be.above(3)
      }
    })

    it(`refuses data of an auxiliary that the trainer never had, ${stale}`, async () => {
      const error = await failureOf(trainer.run('other', { ahead: 2, stale }, {
        wrap: runner => ({
          open: async signal => await runner.open(signal),
          recover: async (error, signal) => { await runner.recover(error, signal) },
          run: async (step, use, signal) => await runner.run(step, async ({ reply, data }) =>
            await use({ reply: { ...reply, version: step.step === 4 ? 'f'.repeat(64) : reply.version }, data }), signal)
        })
      }))
      expect(error).to.have.property('name', 'ProtocolError')
      expect(error.message).to.match(/ran f{64}, which is none/)
    })
  }

  describe('with fits in several threads', () => {
    it('gives to the bit what it gives in one, also where hosts fail', async () => {
      const ways: ReadonlyArray<Parameters<TrainingRun['parse']>[0]> = [
        { ahead: 3, interval: 2, stale: 'decay', wire: 'f32', fitThreads: 2 },
        { mode: 'joint', sites: ['c_attn', 'mlp.c_proj'], wire: 'factors', fitThreads: 3 }
      ]
      for (const [i, given] of ways.entries()) {
        const one = await trainer.run(`one ${i}`, { ...given, fitThreads: 1 })
        expect(await trainer.run(`several ${i}`, given, { wrap: failing(seeded(1), []) })).to.deep.equal(one)
      }
    })

    it('ends where one of them does, which is no failure of the host', async () => {
      const workers: Worker[] = []
      const onWorker = (worker: Worker): void => { workers.push(worker) }
      process.on('worker', onWorker)
      let recovered = 0
      const error = await failureOf(trainer.run('ended', { fitThreads: 2 }, {
        wrap: runner => ({
          open: async signal => await runner.open(signal),
          recover: async () => {
            recovered++
            await Promise.resolve()
          },
          run: async (step, use, signal) => {
            if (step.step === 3) await workers[1].terminate()
            return await runner.run(step, use, signal)
          }
        })
      }))
      process.off('worker', onWorker)
      expect(error.name).to.equal('EngineError')
      expect(recovered).to.equal(0)
    })
  })

  it('keeps no tensors', async () => {
    await trainer.run('warm', { ahead: 2, stale: 'decay', steps: 3 })
    const before = tf.memory().numTensors
    await trainer.run('counted', { ahead: 2, stale: 'decay', wire: 'f32' })
    await endedIn(4, 'ended', { ahead: 2, stale: 'decay' })
    expect(tf.memory().numTensors).to.equal(before)
  })

  async function simulated (given: Parameters<TrainingRun['parse']>[0], weight: (fits: number) => number): ReturnType<typeof trainDelayed> {
    const options = trainer.parse(given)
    const { ahead, interval, lr } = options
    const plan = await planOf(options, model.info)
    const { fitted: sites, auxiliary } = plan
    const learner = createLearner(options, plan)
    const start = await learner.adapter()
    learner.dispose()
    const batches = Array.from({ length: STEPS }, (_, step) => trainer.batchAt(step))
    return await trainDelayed({ model, spec: auxiliary, sites, start, batches, interval, delay: ahead, weight, rate: lr! })
  }

  /** Ctrl+C as soon as that step is sent. */
  async function endedIn (step: number, name: string, given: Parameters<TrainingRun['parse']>[0]): Promise<void> {
    const leaving = new AbortController()
    const wrap = watching(sent => { if (sent.step === step) leaving.abort(new Error('left')) })
    expect((await failureOf(trainer.run(name, given, { wrap, signal: leaving.signal }))).message).to.equal('left')
  }
})

type Wrap = (runner: StepRunner, training: () => Training) => StepRunner

/** Looks at each step that is sent. */
function watching (look: (step: Step, training: Training) => void): Wrap {
  return (runner, training) => ({
    open: async signal => await runner.open(signal),
    recover: async (error, signal) => { await runner.recover(error, signal) },
    run: async (step, use, signal) => {
      look(step, training())
      return await runner.run(step, use, signal)
    }
  })
}

/** Runs these steps with the contribution before, the first time. */
function lagging (steps: readonly number[]): Wrap {
  const left = new Set(steps)
  const records: Array<Step['contribution']> = []
  return runner => ({
    open: async signal => await runner.open(signal),
    recover: async error => { if (error.name !== 'StaleDataError') await runner.recover(error, new AbortController().signal) },
    run: async (step, use, signal) => {
      if (records.at(-1) !== step.contribution) records.push(step.contribution)
      const contribution = left.delete(step.step) ? records.at(-2)! : step.contribution
      return await runner.run({ ...step, contribution }, use, signal)
    }
  })
}

/** Fails before a step, within its data and after them, by chance. */
function failing (random: () => number, failures: number[]): Wrap {
  const error = new RefusedError('by chance')
  return runner => ({
    open: async signal => await runner.open(signal),
    recover: async failed => { if (failed !== error) await runner.recover(failed, new AbortController().signal) },
    run: async (step, use, signal) => {
      const at = Math.floor(random() * 4)
      const fail = (): never => {
        failures.push(step.step)
        throw error
      }
      if (at === 0) fail()
      return await runner.run(step, async ({ reply, data }) => await use({ reply, data: at === 1 ? brokenOff(data, fail) : data }), signal)
    }
  })
}

async function * brokenOff<T> (data: Iterable<T> | AsyncIterable<T>, fail: () => never): AsyncGenerator<T> {
  for await (const one of data) {
    yield one
    fail()
  }
}

function flat (adapter: AdapterTensors): number[] {
  return [...adapter].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([, own]) => [...own].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([, { values }]) => [...values]))
}
