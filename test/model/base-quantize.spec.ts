import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openEngine } from '../../src/engine/open-engine.js'
import { BaseModel, describeModel } from '../../src/model/base-model.js'
import { networkOf } from '../../src/model/networks/registry.js'
import { findWeights, quantizeLinear, type WeightForm } from '../../src/model/weights.js'
import { dequantize, QUANTIZATIONS, type Quantization, quantize } from '../../src/tensor/quantize.js'
import { decodeSafetensors, encodeSafetensors, type FloatDtype, floatTensor } from '../../src/tensor/safetensors.js'
import type { FloatTensor } from '../../src/types.js'
import { uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { type OtherConfig, randomBatch, writeModel } from './random-model.js'

const GPT2: OtherConfig = { model_type: 'gpt2', vocab_size: 31, n_positions: 12, n_embd: 10, n_layer: 2, n_head: 2 }
const LLAMA: OtherConfig = { model_type: 'llama', vocab_size: 29, hidden_size: 12, intermediate_size: 20, num_hidden_layers: 1, num_attention_heads: 3, max_position_embeddings: 16, tie_word_embeddings: false }

/** What is quantised of a layer. */
const LINEAR = /\.(c_attn|c_fc|c_proj|[qkvo]_proj|gate_proj|up_proj|down_proj)\.weight$/

describe('a base model in 8 and 4 bits', () => {
  const folder = temporaryFolder()
  let path: string
  beforeEach(() => { path = join(folder(), 'model') })

  const readModel = async (from: string): Promise<Map<string, FloatTensor>> => {
    const { tensors } = decodeSafetensors(await readFile(join(from, 'model.safetensors')))
    return new Map([...tensors.keys()].map(name => [name, floatTensor(tensors, name)]))
  }

  /** The same model with numbers in its files that are on the grid already. */
  async function writeMoved (kind: Quantization): Promise<string> {
    const moved = join(folder(), 'moved')
    await writeModel(moved, JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as OtherConfig, seeded(1))
    const tensors = [...await readModel(path)].map(([name, { shape, values }]): [string, FloatTensor] =>
      [name, { shape, values: LINEAR.test(name) ? dequantize(kind, quantize(kind, values), values.length) : values }])
    await writeFile(join(moved, 'model.safetensors'), encodeSafetensors(new Map(tensors)))
    return moved
  }

  const load = async (from: string, form: WeightForm): Promise<BaseModel> =>
    await BaseModel.load(from, async weights => await openEngine(weights, { device: 'cpu', threads: 1 }, () => {}), form)

  it('has the matrices of its linear modules so, and nothing else: not embeddings, biases, norms or the output', async () => {
    for (const config of [GPT2, LLAMA]) {
      await writeModel(path, config, seeded(1))
      const { network } = networkOf(config, '')
      const weights = await quantizeLinear(await findWeights(path, network, 'bf16'), network, 'nf4')
      expect([...weights.keys()]).to.deep.equal([...network.weights.keys()])
      for (const [name, { quantized, rounded, shape }] of weights) {
        expect(quantized?.kind, name).to.equal(LINEAR.test(name) ? 'nf4' : undefined)
        expect(rounded, name).to.equal(!LINEAR.test(name) && shape.length > 1 ? 'BF16' : undefined)
      }
    }
  })

  for (const kind of QUANTIZATIONS) {
    for (const config of [GPT2, LLAMA]) {
      it(`is the model of the numbers that it computes with, ${kind} of ${config.model_type}`, async () => {
        await writeModel(path, config, seeded(1))
        const moved = await writeMoved(kind)
        const [quantised, plain] = [await load(path, { baseQuantize: kind }), await load(moved, {})]
        expect(quantised.info.id).to.equal(plain.info.id)
        expect(quantised.info.id).to.equal((await describeModel(path, { baseQuantize: kind })).id)
        expect(quantised.info.id).to.not.equal((await describeModel(path)).id)
        const { sites } = quantised.info
        const batch = randomBatch(3, 9, quantised.info.vocabSize, seeded(2))
        expect(await quantised.pass([batch], { sites, logits: true })).to.deep.equal(await plain.pass([batch], { sites, logits: true }))
        const random = seeded(3)
        const changes = new Map(sites.slice(0, 3).map(({ name, inFeatures, outFeatures }) => [name, { scale: 0.5, a: uniform([2, inFeatures], random), b: uniform([outFeatures, 2], random) }]))
        for (const model of [quantised, plain]) await model.merge(changes)
        expect(await quantised.pass([batch], { sites })).to.deep.equal(await plain.pass([batch], { sites }))
        for (const model of [quantised, plain]) await model.dispose()
      })
    }

    it(`says what it is, and how far its matrices were moved, ${kind}`, async () => {
      await writeModel(path, GPT2, seeded(1))
      const model = await load(path, { baseQuantize: kind })
      const { name, description } = model.engine
      await model.dispose()
      expect(name).to.equal(`onnxruntime-cpu-${kind}`)
      const [before, after] = [await readModel(path), await readModel(await writeMoved(kind))]
      let [difference, size] = [0, 0]
      for (const [weight, { values }] of before) {
        if (!LINEAR.test(weight)) continue
        for (const [i, value] of values.entries()) {
          difference += (after.get(weight)!.values[i] - value) ** 2
          size += value ** 2
        }
      }
      expect(description).to.include(`8 matrices in ${kind}`).and.to.include(`by ${(100 * Math.sqrt(difference / size)).toPrecision(3)} %`)
    })
  }

  it('does not tell in which dtype its files are, where they hold the same numbers', async () => {
    await writeModel(path, GPT2, seeded(1), 'BF16')
    const ids = new Set<string>()
    for (const dtype of ['BF16', 'F32'] satisfies FloatDtype[]) {
      await writeFile(join(path, 'model.safetensors'), encodeSafetensors(await readModel(path), { dtype }))
      ids.add((await describeModel(path, { baseQuantize: 'nf4' })).id)
    }
    expect(ids.size).to.equal(1)
  })

  it('is none where a matrix holds what is not finite', async () => {
    await writeModel(path, GPT2, seeded(1))
    const tensors = await readModel(path)
    tensors.get('transformer.h.1.mlp.c_fc.weight')!.values[7] = NaN
    await writeFile(join(path, 'model.safetensors'), encodeSafetensors(tensors))
    const { name, message } = await failureOf(describeModel(path, { baseQuantize: 'int8' }))
    expect(name).to.equal('InvalidModelError')
    expect(message).to.include('transformer.h.1.mlp.c_fc.weight holds NaN')
  })
})
