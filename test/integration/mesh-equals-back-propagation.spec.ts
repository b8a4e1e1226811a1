import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import { modelInFolder } from '../../src/node/model-source.js'
import { readTrainingData } from '../../src/node/trainer/training-data.js'
import type { AuxiliarySpec, Batch, WireForm } from '../../src/types.js'
import { trainByBackPropagation } from './back-propagation.js'
import { reportOf, Scene } from './scene.js'

const MODEL = join(import.meta.dirname, '..', '..', 'models', 'tiny')
const STEPS = 20
const RATE = 0.05
const SEED = 5

interface Twin {
  readonly interval: number
  /** The name of the trainer's job. */
  readonly job: string
  /** In which its adaptation data are to come. */
  readonly form: WireForm
  /** The others of its options. */
  readonly options: readonly string[]
}

describe('twenty steps through the mesh, host and trainer in two processes', function () {
  this.timeout(300_000)
  let scene: Scene
  let data: string
  let batches: Batch[]

  before(async () => {
    scene = await Scene.open()
    scene.host('host', '--model', MODEL)
    data = join(scene.folder, 'notes.md')
    await writeFile(data, await readFile(join(import.meta.dirname, '..', '..', 'LICENSE')))
    await startBackend()
    const options = parseTrainOptions({ model: MODEL, data: [data], batchSize: 2, length: 12, seed: SEED })
    const source = await readTrainingData(options, await modelInFolder(MODEL), { progress: () => {}, log: () => {} }, new AbortController().signal)
    batches = await Promise.all(Array.from({ length: STEPS }, async (_, step) => await source.at(step)))
  })

  after(async () => { await scene.close() })

  /** Compares the losses of a trainer with these options with those of its twin. */
  async function expectTwin (auxiliary: AuxiliarySpec, { interval, job, form, options }: Twin): Promise<void> {
    const { kind, rank, alpha } = auxiliary
    const expected = await trainByBackPropagation(batches, { model: MODEL, auxiliary, interval, rate: RATE, seed: SEED })
    const { losses, wire } = await reportOf(scene.train('trainer', '--model', MODEL, '--data', data, '--batch-size', '2', '--length', '12',
      '--steps', String(STEPS), '--aux', kind, '--rank', String(rank), '--alpha', String(alpha), '--interval', String(interval),
      '--optimizer', 'sgd', '--lr', String(RATE), '--weight-decay', '0', '--schedule', 'constant', '--seed', String(SEED),
      '--job', job, ...options))
    expect(wire).to.equal(form)
    expect(losses).to.have.lengthOf(STEPS)
    for (const [step, loss] of losses.entries()) {
      expect(Math.abs(loss - expected[step]) / expected[step], `step ${step}`).to.be.below(1e-4)
    }
  }

  for (const [kind, wire, form] of [
    ['low-rank', 'auto', 'factors'], ['low-rank', 'f32', 'f32'], ['low-rank', 'product', 'product'], ['linear', 'auto', 'f32'], ['linear', 'product', 'product'],
    ['ia3', 'auto', 'f32'], ['dora', 'auto', 'f32']
  ] as const) {
    for (const interval of [1, 4]) {
      for (const alpha of [1, 2]) {
        it(`give the losses of back-propagation: ${kind}, wire ${wire}, interval ${interval}, α = ${alpha}`, async () => {
          await expectTwin({ kind, rank: 4, alpha: 4 * alpha }, { interval, form, job: `${kind}-${interval}-${alpha}-${wire}`, options: ['--wire', wire] })
        })
      }
    }
  }

  it('give the losses of back-propagation: an MLP', async () => {
    await expectTwin({ kind: 'mlp', rank: 4, alpha: 8 }, { interval: 4, form: 'f32', job: 'mlp', options: [] })
  })

  for (const wire of ['auto', 'f32']) {
    it(`give the losses of back-propagation: ranks and alphas by site, rank-stabilised, wire ${wire}`, async () => {
      const [first, second] = ['transformer.h.0.attn.c_attn', 'transformer.h.1.attn.c_attn']
      await expectTwin({ kind: 'low-rank', rank: 4, alpha: 2, ranks: { [first]: 7 }, alphas: { [first]: 1, [second]: 3 }, rankStabilised: true }, {
        interval: 1,
        form: wire === 'auto' ? 'factors' : 'f32',
        job: `by-site-${wire}`,
        options: ['--rank-pattern', 'h.0.attn.c_attn=7', '--alpha-pattern', 'h.0.attn.c_attn=1,h.1.attn.c_attn=3', '--rslora', '--wire', wire]
      })
    })
  }

  for (const kind of ['low-rank', 'linear'] as const) {
    it(`give the losses of back-propagation: merged during training, ${kind}`, async () => {
      await expectTwin({ kind, rank: 4, alpha: 8 }, { interval: 4, form: kind === 'low-rank' ? 'factors' : 'f32', job: `merged-${kind}`, options: ['--merge', 'during'] })
    })
  }
})
