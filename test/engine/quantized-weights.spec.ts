import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { EagerEngine } from '../../src/engine/eager-engine.js'
import type { Engine, Weights } from '../../src/engine/engine.js'
import { externalWeights } from '../../src/engine/onnx/external-weights.js'
import { Graph } from '../../src/engine/onnx/graph.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import type { Step } from '../../src/engine/step.js'
import { findWeights } from '../../src/model/weights.js'
import { QUANTIZATIONS, type Quantization } from '../../src/tensor/quantize.js'
import { quantizedCopy } from '../../src/tensor/quantized-copy.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import { readStored } from '../../src/tensor/stored.js'
import type { FloatTensor, NamedTensors } from '../../src/types.js'
import { uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { onCpuBackend } from './compiled.js'

/** Whole blocks, a short last block, one alone, and an odd number of values. */
const SHAPES = new Map([['whole', [4, 64]], ['across', [6, 50]], ['short', [7, 9]], ['column', [130, 1]], ['single', [1, 1]]])

describe('engine: quantised weights', () => {
  onCpuBackend()
  const folder = temporaryFolder()

  async function quantised (kind: Quantization): Promise<Weights> {
    const random = seeded(1)
    await writeFile(join(folder(), 'model.safetensors'), encodeSafetensors(new Map([...SHAPES].map(([name, shape]) => [name, uniform(shape, random)]))))
    return await quantizedCopy(await findWeights(folder(), { weights: SHAPES, prefix: '' }), kind)
  }

  async function run (engine: Engine, step: Step, inputs: NamedTensors = new Map()): Promise<ReadonlyMap<string, FloatTensor>> {
    const results = await engine.run({ key: 'step', inputs, step })
    return new Map([...results].map(([name, { shape, values }]) => [name, { shape: [...shape], values: values.slice() }]))
  }

  for (const kind of QUANTIZATIONS) {
    it(`are the numbers that they stand for, to the bit, compiled and not, ${kind}`, async () => {
      const weights = await quantised(kind)
      const copies: Step = tensor => Object.fromEntries([...SHAPES.keys()].map(name => [`out.${name}`, tf.add(tensor(name), tf.zerosLike(tensor(name)))]))
      for (const open of [async () => await OnnxEngine.open(weights, { device: 'cpu', threads: 1 }), async () => await EagerEngine.open(weights)]) {
        const engine = await open()
        try {
          const results = await run(engine, copies)
          for (const [name, stored] of weights) expect(results.get(`out.${name}`), `${name} on ${engine.name}`).to.deep.equal(await readStored(name, stored))
        } finally {
          await engine.dispose()
        }
      }
    })

    it(`take part in products from either side, and in what gathers and reshapes, as others do, ${kind}`, async () => {
      const weights = await quantised(kind)
      const random = seeded(2)
      const inputs = new Map<string, FloatTensor>([...SHAPES].flatMap(([name, [rows, columns]]): Array<[string, FloatTensor]> =>
        [[`x.${name}`, uniform([3, rows], random)], [`g.${name}`, uniform([3, columns], random)]]))
      const step: Step = tensor => Object.fromEntries([...SHAPES.keys()].flatMap(name => [
        [`forward.${name}`, tf.matMul(tensor<tf.Tensor2D>(`x.${name}`), tensor<tf.Tensor2D>(name))],
        [`backward.${name}`, tf.matMul(tensor<tf.Tensor2D>(`g.${name}`), tensor<tf.Tensor2D>(name), false, true)],
        [`row.${name}`, tf.gather(tensor(name), tf.tensor1d([0], 'int32'))],
        [`flat.${name}`, tf.mul(tf.reshape(tensor(name), [-1]), 2)]
      ]))
      const [compiled, eager] = [await OnnxEngine.open(weights, { device: 'cpu', threads: 1 }), await EagerEngine.open(weights)]
      try {
        const [actual, expected] = [await run(compiled, step, inputs), await run(eager, step, inputs)]
        expect([...actual.keys()].sort()).to.deep.equal([...expected.keys()].sort())
        for (const [name, { shape, values }] of expected) {
          expect(actual.get(name)!.shape, name).to.deep.equal(shape)
          expect(relativeError(actual.get(name)!.values, values), name).to.be.below(1e-6)
        }
      } finally {
        await compiled.dispose()
        await eager.dispose()
      }
    })

    it(`are mapped as codes, in so many bits, ${kind}`, async () => {
      const { weights } = await externalWeights(await quantised(kind))
      const { length, quantized } = weights.get('whole')!
      expect(length).to.equal(kind === 'int8' ? 256 : 128)
      expect(quantized!.scales.length).to.equal(16)
    })

    it(`are widened before all else in the graph's order, and so one at a time when it runs, ${kind}`, () => {
      const graph = new Graph()
      const place = { location: 'weights', offset: 0, length: 0 }
      let x = graph.input('x', { shape: [2, 9], dtype: 'float32' })
      for (const name of ['first', 'second']) {
        const weight = graph.external(name, [9, 9], place, { quantized: { kind, scales: place } })
        x = graph.emit('Neg', [graph.emit('MatMul', [x, weight], x)], x)
      }
      const { nodes } = graph.finish({ y: x })
      const ops = nodes.map(({ op }) => op)
      expect(ops.slice(-4)).to.deep.equal(['MatMul', 'Neg', 'MatMul', 'Neg'])
      expect(ops.slice(0, -4)).to.not.include('MatMul').and.to.not.include('Neg')
    })
  }
})
