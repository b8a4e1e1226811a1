import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { EagerEngine } from '../../src/engine/eager-engine.js'
import type { Weights } from '../../src/engine/engine.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import { joinBlocks } from '../../src/gl/row-blocks.js'
import { BaseModel } from '../../src/model/base-model.js'
import type { WeightChange } from '../../src/model/merge.js'
import { decodeAdaptation, encodeAdaptation, pairLayout } from '../../src/tensor/adaptation.js'
import type { AdapterTensors, AuxiliarySpec } from '../../src/types.js'
import { randomAdapter } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'

const ENGINES = {
  compiled: async (weights: Weights) => await OnnxEngine.open(weights, { device: 'cpu' }),
  'op by op': async (weights: Weights) => await EagerEngine.open(weights)
}
const SPECS: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 0.5 }, { kind: 'linear', rank: 2, alpha: 0.5 }]

function changesOf (spec: AuxiliarySpec, adapter: AdapterTensors): Map<string, WeightChange> {
  const scale = spec.alpha / spec.rank
  return new Map([...adapter].map(([site, own]) => [site, spec.kind === 'linear'
    ? { scale, weight: own.get('weight')! }
    : { scale, a: own.get('lora_A.weight')!, b: own.get('lora_B.weight')! }]))
}

describe('base models with convolutions', () => {
  for (const name of ['cnn', 'vit']) {
    for (const [engine, open] of Object.entries(ENGINES)) {
      for (const spec of SPECS) {
        it(`give the same with an auxiliary beside a convolution and merged into it: ${name}, ${spec.kind}, ${engine}`, async () => {
          const before = tf.memory().numTensors
          const model = await BaseModel.load(join(FIXTURES, name), open)
          const batch = await readBatch(name)
          const sites = model.info.sites.filter(({ convolution }) => convolution !== undefined)
          const adapter = randomAdapter(spec, sites, seeded(1))
          const options = { sites, logits: true } as const
          const [frozen] = await model.pass([batch], options)
          const [beside] = await model.pass([batch], { ...options, beside: ({ rows }) => joinBlocks([{ rows, own: [{ spec, adapter }] }], [...adapter.keys()]) })
          await model.merge(changesOf(spec, adapter))
          const [merged] = await model.pass([batch], options)
          expect(relativeError(frozen.logits!.values, merged.logits!.values)).to.be.above(1e-2)
          expect(relativeError(beside.logits!.values, merged.logits!.values)).to.be.below(1e-5)
          for (const [site, { x, gradient }] of merged.pairs) {
            expect(relativeError(beside.pairs.get(site)!.x.values, x.values), `x.${site}`).to.be.below(1e-5)
            expect(relativeError(beside.pairs.get(site)!.gradient.values, gradient.values), `grad.${site}`).to.be.below(1e-4)
          }
          await model.dispose()
          expect(tf.memory().numTensors).to.equal(before)
        })
      }
    }

    it(`give pairs that are read again from a message, of whole images and their patches: ${name}`, async () => {
      const model = await BaseModel.load(join(FIXTURES, name), ENGINES.compiled)
      const batch = await readBatch(name)
      const { sites } = model.info
      const [{ pairs }] = await model.pass([batch], { sites })
      expect(decodeAdaptation(encodeAdaptation(pairs, 'f32'), pairLayout(sites, batch))).to.deep.equal(pairs)
      await model.dispose()
    })
  }
})
