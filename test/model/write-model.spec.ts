import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readAdapter } from '../../src/gl/peft/read-adapter.js'
import { describeModel } from '../../src/model/base-model.js'
import { openModelFolder, readMatrix } from '../../src/model/model-folder.js'
import { writeModel } from '../../src/model/write-model.js'
import { changesOf } from '../../src/node/host/weight-changes.js'
import { mergedMatrices } from '../../src/node/merging.js'
import { sumOfDeltas } from '../../src/merge/sum-of-deltas.js'
import { decodeSafetensors } from '../../src/tensor/safetensors.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readTensors } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { writeModel as writeRandomModel } from './random-model.js'

const CNN = { model_type: 'cnn-classifier', num_channels: 2, image_size: 6, num_labels: 3, conv_channels: [4, 5] }
const BERT = { model_type: 'bert', vocab_size: 11, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 12, max_position_embeddings: 16, architectures: ['BertForSequenceClassification'] }
const GPT2 = { vocab_size: 13, n_positions: 8, n_embd: 8, n_layer: 2, n_head: 2 }

describe('model: writing a model folder', () => {
  const folder = temporaryFolder()

  for (const name of ['gpt2-long', 'llama-grouped', 'qwen3']) {
    it(`has the weights of ${name} that PEFT merges, and all others as they were`, async () => {
      const model = await openModelFolder(join(FIXTURES, name))
      const { spec, tensors: adapter } = await readAdapter(join(FIXTURES, name, 'adapter'))
      const changes = changesOf(spec, adapter, model.network.info.sites.filter(site => adapter.has(site.name)))
      await writeModel(model, join(folder(), name), mergedMatrices(model, sumOfDeltas([changes], [1])), { dtype: 'F32' })
      const { tensors } = decodeSafetensors(await readFile(join(folder(), name, 'model.safetensors')))
      const merged = await readTensors('merge', `${name}.safetensors`)
      expect([...tensors.keys()]).to.have.members([...model.network.weights.keys()])
      for (const [key, { shape, values }] of merged) {
        expect(tensors.get(key)?.shape).to.deep.equal(shape)
        expect(relativeError(tensors.get(key)!.values, values), key).to.be.below(1e-6)
      }
      const written = await openModelFolder(join(folder(), name))
      for (const { name: site } of model.network.info.sites.filter(({ name }) => !adapter.has(name))) {
        expect(await readMatrix(written, site), site).to.deep.equal(await readMatrix(model, site))
      }
      expect(written.json).to.include({ dtype: 'float32', model_type: model.json.model_type })
    })
  }

  for (const [config, dtype] of [[CNN, 'F16'], [BERT, 'BF16'], [GPT2, 'F32']] as const) {
    it(`is the same model where nothing is changed: ${'model_type' in config ? config.model_type : 'gpt2'} in ${dtype}`, async () => {
      const [from, to] = ['from', 'to'].map(name => join(folder(), name))
      await writeRandomModel(from, config, seeded(4), dtype)
      const model = await openModelFolder(from)
      const sites = model.network.info.sites.map(({ name }) => name).filter(name => !/wte|lm_head/.test(name))
      await writeModel(model, to, new Map(sites.map(site => [site, { weight: async () => await readMatrix(model, site) }])))
      expect((await describeModel(to)).id).to.equal((await describeModel(from)).id)
      const [before, after] = await Promise.all([from, to].map(async path => await readFile(join(path, 'model.safetensors'))))
      expect(after.byteLength).to.be.within(before.byteLength, before.byteLength + 64) // metadata
    })
  }
})
