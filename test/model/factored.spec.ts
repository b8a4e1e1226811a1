import { join } from 'node:path'
import { expect } from 'chai'
import { EagerEngine } from '../../src/engine/eager-engine.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import { InvalidModelError } from '../../src/errors.js'
import { BaseModel } from '../../src/model/base-model.js'
import { openModelFolder, readMatrix } from '../../src/model/model-folder.js'
import { writeModel } from '../../src/model/write-model.js'
import type { Batch, FloatTensor } from '../../src/types.js'
import { product } from '../../src/tensor/matrix.js'
import { rejection } from '../data/folder.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { randomRows, writeModel as writeRandomModel } from './random-model.js'

const CONFIGS = {
  gpt2: { model_type: 'gpt2', vocab_size: 13, n_positions: 8, n_embd: 8, n_layer: 2, n_head: 2 },
  bert: { model_type: 'bert', vocab_size: 11, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 12, max_position_embeddings: 16, architectures: ['BertForSequenceClassification'] },
  cnn: { model_type: 'cnn-classifier', num_channels: 2, image_size: 6, num_labels: 3, conv_channels: [4, 5] }
}
const ENGINES = {
  'op by op': async (weights: Parameters<typeof EagerEngine.open>[0]) => await EagerEngine.open(weights),
  compiled: async (weights: Parameters<typeof EagerEngine.open>[0]) => await OnnxEngine.open(weights, { device: 'cpu', threads: 1 })
}

function tensor (shape: readonly [number, number], random: () => number): FloatTensor {
  return { shape, values: Float32Array.from({ length: shape[0] * shape[1] }, () => random() - 0.5) }
}

describe('model: matrices that are stored as two factors', () => {
  const folder = temporaryFolder()

  /** The same model twice: with factors, and with their product. */
  async function twins (config: { readonly model_type: string }): Promise<{ factors: string, whole: string, sites: string[] }> {
    const random = seeded(config.model_type.length)
    const [from, factors, whole] = ['from', 'factors', 'whole'].map(name => join(folder(), name))
    await writeRandomModel(from, config, random)
    const model = await openModelFolder(from)
    const sites = model.network.info.sites.filter(({ embedding = false, name }) => !embedding && name !== 'lm_head')
    const made = new Map(sites.map(({ name, inFeatures, outFeatures }) => [name, { u: tensor([outFeatures, 2], random), v: tensor([2, inFeatures], random) }]))
    await writeModel(model, factors, made)
    await writeModel(model, whole, new Map([...made].map(([name, { u, v }]) => [name, { weight: async () => await Promise.resolve(product(u, v)) }])))
    return { factors, whole, sites: sites.map(({ name }) => name) }
  }

  for (const [name, config] of Object.entries(CONFIGS)) {
    for (const [how, open] of Object.entries(ENGINES)) {
      if (name === 'cnn' && how === 'op by op') continue // the backend of other specs may lack gradients of its pooling
      it(`compute what their product does, and ∇ĥ before it, merged and not: ${name}, ${how}`, async () => {
        const { factors, whole, sites } = await twins(config)
        const models = await Promise.all([factors, whole].map(async path => await BaseModel.load(path, open)))
        try {
          const { info } = models[0]
          const batch: Batch = randomRows(info, 3, seeded(2))
          const tapped = info.sites.filter(site => sites.includes(site.name))
          const scaled = tapped.slice(0, 2).map(site => [site.name, { scale: 0.5, weight: tensor([site.outFeatures, site.inFeatures], seeded(6)) }] as const)
          for (const changes of [new Map(), new Map(scaled)]) {
            const [own, expected] = await Promise.all(models.map(async model => {
              await model.merge(changes)
              return (await model.pass([batch], { sites: tapped, logits: true }))[0]
            }))
            expect(relativeError(own.logits!.values, expected.logits!.values)).to.be.below(1e-5)
            for (const [site, { x, gradient }] of expected.pairs) {
              expect(relativeError(own.pairs.get(site)!.x.values, x.values), site).to.be.below(1e-5)
              expect(relativeError(own.pairs.get(site)!.gradient.values, gradient.values), site).to.be.below(1e-4)
            }
          }
        } finally {
          for (const model of models) await model.dispose()
        }
      })
    }

    it(`become one matrix again when the folder is written so: ${name}`, async () => {
      const { factors, whole, sites } = await twins(config)
      const model = await openModelFolder(factors)
      const again = join(folder(), 'again')
      await writeModel(model, again, new Map(sites.slice(1).map(site => [site, { weight: async () => await readMatrix(model, site) }])))
      const [made, expected] = await Promise.all([again, whole].map(async path => await openModelFolder(path)))
      expect([...made.network.ranks!.keys()]).to.deep.equal(sites.slice(0, 1))
      for (const site of sites) expect(await readMatrix(made, site), site).to.deep.equal(await readMatrix(expected, site))
    })
  }

  it('refuses ranks of what has no matrix of its own that is multiplied', async () => {
    for (const [site, said] of [['transformer.wte', /lm_head/], ['lm_head', /wte/], ['transformer.h.9.mlp.c_fc', /no module/]] as const) {
      await writeRandomModel(join(folder(), 'base'), CONFIGS.gpt2, seeded(1))
      const model = await openModelFolder(join(folder(), 'base'))
      const error = await rejection(writeModel(model, join(folder(), 'out'), new Map([[site, { u: tensor([13, 1], seeded(1)), v: tensor([1, 8], seeded(1)) }]])))
      expect(error).to.be.instanceOf(InvalidModelError)
      expect(error?.message).to.match(said)
    }
  })
})
