import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { randomWeights } from '../../src/model/random-weights.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { AuxiliarySpec, Batch } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { accuracyBeside, BackPropagation, glyphs, SIZE, trainAuxiliaries } from './from-scratch.js'

const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }

const COMMON = { num_channels: 1, image_size: SIZE, num_labels: 10 }

/** With the peak of AdamW's learning rate that suits each. */
const CLASSIFIERS = {
  'linear-classifier': { config: { model_type: 'linear-classifier', ...COMMON }, rate: 0.003 },
  'mlp-classifier': { config: { model_type: 'mlp-classifier', ...COMMON, hidden_sizes: [48] }, rate: 0.005 },
  'cnn-classifier': { config: { model_type: 'cnn-classifier', ...COMMON, conv_channels: [8, 16] }, rate: 0.02 }
}

const BATCH_SIZE = 40
const STEPS = 300
const STEPS_TO_COMPARE = 12

describe('classifiers of images from a random start', function () {
  this.timeout(240_000)
  const folder = temporaryFolder()
  const random = seeded(1)
  let batches: Batch[]
  let others: Batch

  before(async () => {
    await startBackend()
    batches = Array.from({ length: STEPS }, () => glyphs(BATCH_SIZE, random))
    others = glyphs(2000, random)
  })

  for (const [name, { config, rate }] of Object.entries(CLASSIFIERS)) {
    async function start (): Promise<string> {
      const model = join(folder(), name)
      await mkdir(model, { recursive: true })
      await writeFile(join(model, 'config.json'), JSON.stringify(config))
      await writeFile(join(model, 'model.safetensors'), encodeSafetensors(randomWeights(config, name, 1)))
      return model
    }

    it(`are as good through Gradient Learning alone as by back-propagation, within one point: ${name}`, async () => {
      const model = await start()
      const training = { model, batches, optimizer: 'adamw', rate } as const
      const ordinary = await BackPropagation.open(model)
      ordinary.train(training, () => true)
      const expected = await ordinary.accuracy(others)
      ordinary.dispose()
      const actual = await accuracyBeside(model, others, LINEAR, await trainAuxiliaries(training, LINEAR))
      expect(expected).to.be.above(0.65) // it has learned something: chance is 0.1
      expect(actual).to.be.closeTo(expected, 0.01)
    })

    it(`have with linear auxiliaries everywhere the weights of full training: ${name}`, async () => {
      const model = await start()
      const training = { model, batches: batches.slice(0, STEPS_TO_COMPARE), optimizer: 'sgd', rate: 0.05 } as const
      const before = await BackPropagation.open(model)
      const full = await BackPropagation.open(model)
      full.train(training, weight => weight.endsWith('.weight'))
      const tensors = tf.memory().numTensors
      const adapter = await trainAuxiliaries(training, LINEAR)
      expect(tf.memory().numTensors).to.equal(tensors)
      for (const [site, own] of adapter) {
        const start = await before.weight(`${site}.weight`)
        const moved = (await full.weight(`${site}.weight`)).map((value, i) => value - start[i])
        expect(relativeError(own.get('weight')!.values, moved), site).to.be.below(1e-4)
      }
      before.dispose()
      full.dispose()
    })
  }
})
