import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import { modelInFolder } from '../../src/node/model-source.js'
import { readTrainingData } from '../../src/node/trainer/training-data.js'
import type { AuxiliarySpec, Batch } from '../../src/types.js'
import { trainByBackPropagation } from './back-propagation.js'
import { reportOf, Scene } from './scene.js'

const MODEL = join(import.meta.dirname, '..', '..', 'models', 'tiny')
const STEPS = 20
const RATE = 0.05
const SEED = 5

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

  for (const [kind, wire] of [['low-rank', 'auto'], ['low-rank', 'f32'], ['linear', 'auto'], ['ia3', 'auto'], ['dora', 'auto']] as const) {
    for (const interval of [1, 4]) {
      for (const alpha of [1, 2]) {
        it(`give the losses of back-propagation: ${kind}, wire ${wire}, interval ${interval}, α = ${alpha}`, async () => {
          const auxiliary: AuxiliarySpec = { kind, rank: 4, alpha: 4 * alpha }
          const expected = await trainByBackPropagation(batches, { model: MODEL, auxiliary, interval, rate: RATE, seed: SEED })
          const { losses, wire: form } = await reportOf(scene.train('trainer', '--model', MODEL, '--data', data, '--batch-size', '2', '--length', '12',
            '--steps', String(STEPS), '--aux', kind, '--rank', '4', '--alpha', String(4 * alpha), '--interval', String(interval),
            '--optimizer', 'sgd', '--lr', String(RATE), '--weight-decay', '0', '--schedule', 'constant', '--seed', String(SEED),
            '--job', `${kind}-${interval}-${alpha}-${wire}`, '--wire', wire))
          expect(form).to.equal(kind === 'low-rank' && wire === 'auto' ? 'factors' : 'f32')
          expect(losses).to.have.lengthOf(STEPS)
          for (const [step, loss] of losses.entries()) {
            expect(Math.abs(loss - expected[step]) / expected[step], `step ${step}`).to.be.below(1e-4)
          }
        })
      }
    }
  }
})
