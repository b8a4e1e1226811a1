import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { EagerEngine } from '../../src/engine/eager-engine.js'
import type { Weights } from '../../src/engine/engine.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import { factorGradients, sumOfRows } from '../../src/gl/factor-gradients.js'
import { joinBlocks } from '../../src/gl/row-blocks.js'
import { BaseModel } from '../../src/model/base-model.js'
import type { WeightChange } from '../../src/model/merge.js'
import { decodeAdaptation, encodeAdaptation, pairLayout } from '../../src/tensor/adaptation.js'
import type { AdapterTensors, AuxiliarySpec, Site } from '../../src/types.js'
import { randomAdapter } from '../gl/adaptation.js'
import { differentiatedFactors } from '../gl/differentiated-factors.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'

const ENGINES = {
  compiled: async (weights: Weights) => await OnnxEngine.open(weights, { device: 'cpu' }),
  'op by op': async (weights: Weights) => await EagerEngine.open(weights)
}
const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 0.5 }
const SPECS: readonly AuxiliarySpec[] = [LOW_RANK, { kind: 'linear', rank: 2, alpha: 0.5 }]

/** With a head that is the embedding itself, and one of its own; embeddings of two texts, and one that is scaled. */
const MODELS = ['gpt2-odd', 'llama-grouped', 'llama-plain', 'bert-odd', 'bart-scaled', 't5', 't5-gated']

function embeddingsOf ({ info }: BaseModel): Site[] {
  return info.sites.filter(({ embedding = false }) => embedding)
}

function changesOf (spec: AuxiliarySpec, adapter: AdapterTensors): Map<string, WeightChange> {
  const scale = spec.alpha / spec.rank
  return new Map([...adapter].map(([site, own]) => [site, spec.kind === 'linear'
    ? { scale, weight: own.get('weight')! }
    : { scale, a: own.get('lora_A.weight')!, b: own.get('lora_B.weight')! }]))
}

describe('base models with adapted embeddings', () => {
  for (const name of MODELS) {
    for (const [engine, open] of Object.entries(ENGINES)) {
      for (const spec of SPECS) {
        it(`give the same with an auxiliary beside an embedding and merged into it, and no other head: ${name}, ${spec.kind}, ${engine}`, async () => {
          const before = tf.memory().numTensors
          const model = await BaseModel.load(join(FIXTURES, name), open)
          const batch = await readBatch(name)
          const sites = embeddingsOf(model)
          const adapter = randomAdapter(spec, sites, seeded(1))
          const options = { sites, logits: true } as const
          const [frozen] = await model.pass([batch], options)
          const [beside] = await model.pass([batch], { ...options, beside: ({ rows }) => joinBlocks([{ rows, own: [{ spec, adapter }] }], [...adapter.keys()]) })
          await model.merge(changesOf(spec, adapter))
          const [merged] = await model.pass([batch], options)
          expect(relativeError(frozen.logits!.values, merged.logits!.values)).to.be.above(1e-2)
          expect(relativeError(beside.logits!.values, merged.logits!.values)).to.be.below(1e-5)
          for (const [site, { x, gradient }] of merged.pairs) {
            expect(beside.pairs.get(site)!.x, `x.${site}`).to.deep.equal(x)
            expect(relativeError(beside.pairs.get(site)!.gradient.values, gradient.values), `grad.${site}`).to.be.below(1e-4)
          }
          await model.dispose()
          expect(tf.memory().numTensors).to.equal(before)
        })
      }

      it(`give what pairs do to the factors of an embedding: ${name}, ${engine}`, async () => {
        const before = tf.memory().numTensors
        const model = await BaseModel.load(join(FIXTURES, name), open)
        const batch = await readBatch(name)
        const sites = embeddingsOf(model)
        const adapter = randomAdapter(LOW_RANK, sites, seeded(1))
        const [{ pairs, reduced }] = await model.pass([batch], { sites, reduce: ({ rows }) => factorGradients([{ rows, fitted: { spec: LOW_RANK, adapter } }], sites) })
        for (const site of sites) {
          const made = reduced.get(site.name)!
          const { factors } = sumOfRows(LOW_RANK, site.name, made.get('A')!, made.get('B')!)
          const expected = differentiatedFactors(LOW_RANK, site, adapter.get(site.name)!, pairs.get(site.name)!).factors
          for (const [parameter, { values }] of factors) expect(relativeError(values, expected.get(parameter)!.values), `${site.name}.${parameter}`).to.be.below(1e-5)
        }
        await model.dispose()
        expect(tf.memory().numTensors).to.equal(before)
      })
    }

    it(`give pairs whose tokens are the same again after a message, rounded or not: ${name}`, async () => {
      const model = await BaseModel.load(join(FIXTURES, name), ENGINES.compiled)
      const batch = await readBatch(name)
      const sites = embeddingsOf(model)
      const [{ pairs }] = await model.pass([batch], { sites })
      const layout = pairLayout(sites, batch)
      expect(decodeAdaptation(encodeAdaptation(pairs, 'f32'), layout)).to.deep.equal(pairs)
      for (const [site, data] of decodeAdaptation(encodeAdaptation(pairs, 'bf16'), layout)) expect(data).to.have.property('x').that.deep.equals(pairs.get(site)!.x)
      await model.dispose()
    })
  }
})
