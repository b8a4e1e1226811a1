import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { applyAuxiliary, Auxiliary, parameterShapes } from '../../src/gl/auxiliary.js'
import type { AuxiliarySpec, AuxiliaryTensors, Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { shapeAt } from '../merge/reference.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'
import { LAYERS } from './layers.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 2 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 2, alpha: 2 }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 2, alpha: 2 }
const SITE = SITES[0]
const BY_SITE: AuxiliarySpec = { ...LOW_RANK, ranks: { [SITES[0].name]: 5, [SITES[1].name]: 1 }, alphas: { [SITES[0].name]: 3, [SITES[2].name]: 0.5 }, rankStabilised: true }
const SPECS = [LOW_RANK, { ...LOW_RANK, alpha: 4 }, BY_SITE, LINEAR, { ...LINEAR, alpha: 4 }, { ...LINEAR, alphas: { [SITE.name]: 3 } }, MLP, { ...MLP, alpha: 4, rankStabilised: true }]

/** g(x) as the paper writes it, of kinds that are functions of x alone. */
const FORMULAS: Readonly<Record<string, (x: tf.Tensor2D, w: readonly tf.Tensor[]) => tf.Tensor2D>> = {
  'low-rank': (x, [a, b]) => tf.matMul(x, tf.transpose(tf.matMul(b, a))),
  linear: (x, [w]) => tf.matMul(x, tf.transpose(w)),
  mlp: (x, [w0, ...others]) => LAYERS.mlp(tf.matMul(x, tf.transpose(w0)), others)
}

/** A loss that is linear in nothing. */
function loss (output: tf.Tensor): tf.Scalar {
  return tf.mean(tf.add(tf.square(tf.tanh(output)), tf.exp(tf.mul(output, -0.5))))
}

function somewhere (spec: AuxiliarySpec, site: Site, seed: number): AuxiliaryTensors {
  return randomAdapter(spec, [site], seeded(seed)).get(site.name)!
}

function input (shape: [number, number], seed: number): tf.Tensor2D {
  return tf.tensor2d(uniform(shape, seeded(seed)).values, shape)
}

async function startOf (spec: AuxiliarySpec, site: Site, seed: number): Promise<AuxiliaryTensors> {
  const auxiliary = new Auxiliary(spec, site, { seed })
  const tensors = await auxiliary.toTensors()
  auxiliary.dispose()
  return tensors
}

/** α·g(x) */
function added (spec: AuxiliarySpec, auxiliary: Auxiliary, x: tf.Tensor2D): tf.Tensor2D {
  return tf.tidy(() => applyAuxiliary(spec, auxiliary.site, x, [...auxiliary.parameters.values()]))
}

describe('gl: auxiliaries', () => {
  before(async () => { await startBackend() })

  for (const spec of SPECS) {
    const what = JSON.stringify(spec)

    it(`have the gradient that back-propagation through f(x) + α·g(x) gives, ${what}`, async () => {
      const before = tf.memory().numTensors
      for (const [i, site] of [...SITES, { name: 'least', inFeatures: 1, outFeatures: 1 }].entries()) {
        for (const tokens of [1, 7]) {
          const auxiliary = new Auxiliary(spec, site, { tensors: somewhere(spec, site, i) })
          const x = input([tokens, site.inFeatures], 10 + i) // [tokens, in]
          const frozen = tf.tidy(() => tf.matMul(x, input([site.inFeatures, site.outFeatures], 20 + i))) // [tokens, out]
          const weights: tf.Tensor[] = [...auxiliary.parameters.values()]
          const expected = tf.tidy(() => tf.grads((...w) =>
            loss(tf.add(frozen, tf.mul(FORMULAS[spec.kind](x, w), shapeAt(spec, site.name).scale))))(weights))
          const gradient = tf.tidy(() => tf.grad(loss)(tf.add(frozen, added(spec, auxiliary, x))) as tf.Tensor2D) // [tokens, out]
          const counted = tf.memory().numTensors
          const actual = auxiliary.gradients(x, gradient)
          expect(tf.memory().numTensors).to.equal(counted + actual.size)
          expect([...actual.keys()]).to.deep.equal([...auxiliary.parameters.keys()])
          for (const [j, [name, own]] of [...actual].entries()) {
            expect(own.shape).to.deep.equal(expected[j].shape)
            expect(relativeError(await own.data(), await expected[j].data()), `${site.name}.${name}`).to.be.below(1e-5)
          }
          tf.dispose([x, frozen, gradient, expected, [...actual.values()]])
          auxiliary.dispose()
        }
      }
      expect(tf.memory().numTensors).to.equal(before)
    })

    it(`add α·g(x), ${what}`, async () => {
      const before = tf.memory().numTensors
      const auxiliary = new Auxiliary(spec, SITE, { tensors: somewhere(spec, SITE, 1) })
      const x = input([4, SITE.inFeatures], 2)
      const { scale } = shapeAt(spec, SITE.name)
      const expected = tf.tidy(() => tf.mul(FORMULAS[spec.kind](x, [...auxiliary.parameters.values()]), scale))
      const output = added(spec, auxiliary, x)
      expect(auxiliary.scale).to.equal(scale)
      expect(output.shape).to.deep.equal([4, SITE.outFeatures])
      expect(relativeError(await output.data(), await expected.data())).to.be.below(1e-6)
      tf.dispose([x, expected, output])
      auxiliary.dispose()
      expect(tf.memory().numTensors).to.equal(before)
    })
  }

  for (const spec of [LOW_RANK, LINEAR, MLP]) {
    it(`give 0 at the start, and can leave it, ${spec.kind}`, async () => {
      const auxiliary = new Auxiliary(spec, SITE, { seed: 1 })
      const [x, gradient] = [input([4, SITE.inFeatures], 1), input([4, SITE.outFeatures], 2)]
      const output = added(spec, auxiliary, x)
      expect([...await output.data()].every(value => value === 0)).to.be.true
      const gradients = [...auxiliary.gradients(x, gradient).values()]
      expect([...await gradients.at(-1)!.data()].some(value => value !== 0)).to.be.true
      tf.dispose([x, gradient, output, gradients])
      auxiliary.dispose()
    })

    it(`are given at rest, and go on from there, ${spec.kind}`, async () => {
      const before = tf.memory().numTensors
      const [first, second] = [1, 2].map(seed => somewhere(spec, SITE, seed))
      const auxiliary = new Auxiliary(spec, SITE, { tensors: first })
      expect(await auxiliary.toTensors()).to.deep.equal(first)
      auxiliary.assign(second)
      expect(await auxiliary.toTensors()).to.deep.equal(second)
      auxiliary.dispose()
      expect(tf.memory().numTensors).to.equal(before)
    })

    it(`share no memory with what they were given, nor with what they give, ${spec.kind}`, async () => {
      const given = somewhere(spec, SITE, 1)
      const expected = somewhere(spec, SITE, 1)
      const fill = (tensors: AuxiliaryTensors): void => { for (const { values } of tensors.values()) values.fill(7) }
      const auxiliary = new Auxiliary(spec, SITE, { tensors: given })
      fill(given)
      fill(await auxiliary.toTensors())
      expect(await auxiliary.toTensors()).to.deep.equal(expected)
      const assigned = somewhere(spec, SITE, 1)
      auxiliary.assign(assigned)
      fill(assigned)
      expect(await auxiliary.toTensors()).to.deep.equal(expected)
      auxiliary.dispose()
    })

    it(`refuse tensors of another name, shape or kind, and stay as they are, ${spec.kind}`, async () => {
      const right = somewhere(spec, SITE, 1)
      const auxiliary = new Auxiliary(spec, SITE, { tensors: right })
      const before = tf.memory().numTensors
      const [name, tensor] = [...right][0]
      const wrong: ReadonlyArray<[string, AuxiliaryTensors]> = [
        ['nothing', new Map()],
        ['one missing', new Map([...right].slice(1))],
        ['one more', new Map([...right, ['bias', tensor]])],
        ['another name', new Map([...[...right].slice(1), [`${name}s`, tensor]])],
        ['transposed', new Map([...right, [name, { ...tensor, shape: [...tensor.shape].reverse() }]])],
        ['flat', new Map([...right, [name, { ...tensor, shape: [tensor.values.length] }]])],
        ['another site', somewhere(spec, SITES[1], 1)],
        ['another kind', somewhere(spec === LINEAR ? LOW_RANK : LINEAR, SITE, 1)]
      ]
      for (const [what, tensors] of wrong) {
        expect(() => new Auxiliary(spec, SITE, { tensors }), what).to.throw().with.property('name', 'InvalidAdapterError')
        expect(() => auxiliary.assign(tensors), what).to.throw().with.property('name', 'InvalidAdapterError')
        expect(() => auxiliary.check(tensors), what).to.throw().with.property('name', 'InvalidAdapterError')
      }
      auxiliary.check(right)
      expect(await auxiliary.toTensors()).to.deep.equal(right)
      expect(tf.memory().numTensors).to.equal(before)
      auxiliary.dispose()
    })
  }

  it('start alike from the same seed, and elsewhere at another site or from another seed', async () => {
    const starts = [await startOf(LOW_RANK, SITE, 1), await startOf(LOW_RANK, SITE, 2), await startOf(LOW_RANK, { ...SITE, name: 'other' }, 1)]
    expect(await startOf(LOW_RANK, { ...SITE }, 1)).to.deep.equal(starts[0])
    const first = starts.map(tensors => tensors.get('lora_A.weight')!.values.join())
    expect(new Set(first).size).to.equal(3)
  })

  it('start where they always have: members of one job may run different versions', async () => {
    const { values } = (await startOf(LOW_RANK, { name: 'transformer.h.0.attn.c_attn', inFeatures: 2, outFeatures: 3 }, 42)).get('lora_A.weight')!
    expect(relativeError(values, [0.47207582, -0.57873702, 0.20741878, -0.18219581])).to.be.below(1e-7)
    const mlp = await startOf(MLP, { name: 'transformer.h.0.attn.c_attn', inFeatures: 2, outFeatures: 3 }, 42)
    const firsts = [0, 1].flatMap(n => ['weight', 'bias'].flatMap(name => [...mlp.get(`layers.${n}.${name}`)!.values.subarray(0, 2)]))
    expect(relativeError(firsts, [0.47207582, -0.57873702, 0.23623125, 0.37519643, -0.0099882521, 0.021721728, -0.065524906, -0.056367029])).to.be.below(1e-7)
  })

  it('start A uniformly between ±1/√in', async () => {
    const site = { name: 'large', inFeatures: 400, outFeatures: 1 }
    const { values } = (await startOf({ ...LOW_RANK, rank: 100 }, site, 3)).get('lora_A.weight')!
    const mean = (numbers: Float32Array): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length
    expect(Math.max(...values.map(Math.abs))).to.be.within(0.0499, 0.05)
    expect(mean(values)).to.be.closeTo(0, 5e-4) // 3.5 standard errors
    expect(mean(values.map(value => value ** 2))).to.be.closeTo(0.05 ** 2 / 3, 1e-5)
  })

  it('start the layers of an MLP but the last as PyTorch starts linear ones, each elsewhere', async () => {
    const site = { name: 'large', inFeatures: 400, outFeatures: 7 }
    const start = await startOf(MLP, site, 3)
    for (const [n, from] of [[0, 400], [1, 128]]) {
      const bound = 1 / Math.sqrt(from)
      const { values } = start.get(`layers.${n}.weight`)!
      const mean = (numbers: Float32Array): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length
      expect(Math.max(...values.map(Math.abs))).to.be.within(0.999 * bound, bound)
      expect(mean(values) / bound).to.be.closeTo(0, 0.02) // 6 standard errors
      expect(mean(values.map(value => value ** 2)) / bound ** 2).to.be.closeTo(1 / 3, 0.01)
      const bias = start.get(`layers.${n}.bias`)!.values
      expect(Math.max(...bias.map(Math.abs))).to.be.within(0.9 * bound, bound)
    }
    for (const name of ['layers.2.weight', 'layers.2.bias']) expect(start.get(name)!.values.every(value => value === 0), name).to.be.true
    const scaled = [[0, 400], [1, 128]].flatMap(([n, from]) => ['weight', 'bias'].map(name => start.get(`layers.${n}.${name}`)!.values[0] * Math.sqrt(from)))
    expect(new Set(scaled.map(value => value.toFixed(5))).size).to.equal(4)
  })

  it('have the parameters that PEFT names', () => {
    expect([...parameterShapes(LOW_RANK, SITE)]).to.deep.equal([['lora_A.weight', [2, 3]], ['lora_B.weight', [5, 2]]])
    expect([...parameterShapes(LINEAR, SITE)]).to.deep.equal([['weight', [5, 3]]])
    expect([...parameterShapes(MLP, SITE)]).to.deep.equal([
      ['layers.0.weight', [128, 3]], ['layers.0.bias', [128]], ['layers.1.weight', [256, 128]], ['layers.1.bias', [256]], ['layers.2.weight', [5, 256]], ['layers.2.bias', [5]]
    ])
  })

  it('have the rank of their site', async () => {
    expect(SITES.map(site => parameterShapes(BY_SITE, site).get('lora_A.weight')![0])).to.deep.equal([5, 1, 2])
    for (const site of SITES) {
      const start = await startOf(BY_SITE, site, 1)
      expect([...start].map(([name, { shape }]) => [name, shape])).to.deep.equal([...parameterShapes(BY_SITE, site)])
    }
  })

  it('refuse ranks and alphas that are not possible', () => {
    const [ranks, alphas] = [[0, -1, 1.5, NaN, Infinity, 2 ** 53], [0, -1, NaN, Infinity]]
    const wrong = [...ranks.flatMap(rank => [{ rank }, { ranks: { other: rank } }]), ...alphas.flatMap(alpha => [{ alpha }, { alphas: { other: alpha } }])]
    for (const spec of [LOW_RANK, LINEAR, MLP]) {
      for (const option of wrong) {
        expect(() => new Auxiliary({ ...spec, ...option }, SITE, { seed: 1 }), JSON.stringify(option)).to.throw().with.property('name', 'InvalidOptionError')
        expect(() => parameterShapes({ ...spec, ...option }, SITE), JSON.stringify(option)).to.throw().with.property('name', 'InvalidOptionError')
      }
    }
  })
})
