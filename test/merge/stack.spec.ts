import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { isMergeable } from '../../src/auxiliary-spec.js'
import { startBackend } from '../../src/engine/backend.js'
import { InvalidAdapterError } from '../../src/errors.js'
import { applyAuxiliary } from '../../src/gl/auxiliary.js'
import { meanOfProducts } from '../../src/merge/mean-of-products.js'
import { besideOneAnother, stack, type StackedAdapter } from '../../src/merge/stack.js'
import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site } from '../../src/types.js'
import { relativeError } from '../support/compare.js'
import { mixtures, SITES } from './mixtures.js'
import { contribution, seeded } from './random.js'
import { sharesAt } from './reference.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 3, alpha: 8 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 2 }
const PERCEPTRON: AuxiliarySpec = { kind: 'mlp', rank: 1, alpha: 2 }

const all = (): boolean => true
const asMember = ({ spec, tensors }: StackedAdapter): Weighted => ({ tokens: 1, spec, adapter: tensors })

function matrix ({ values, shape }: FloatTensor): tf.Tensor {
  return tf.tensor(values, [...shape])
}

function added (spec: AuxiliarySpec, site: Site, x: tf.Tensor2D, own: AuxiliaryTensors): tf.Tensor2D {
  return applyAuxiliary(spec, site, x, [...own.values()].map(matrix))
}

describe('merge: one adapter for the mean of products', () => {
  for (const [what, members] of mixtures()) {
    it(`has the product that is the mean: ${what}`, () => {
      const stacked = stack(members, SITES)!
      const product = meanOfProducts([asMember(stacked)], SITES)
      for (const [site, { values }] of meanOfProducts(members, SITES)) {
        if (stacked.tensors.has(site)) expect(relativeError(product.get(site)!.values, values), site).to.be.below(1e-6)
        else expect(values.every(value => value === 0), site).to.be.true
      }
    })
  }

  it('has the sum of their ranks, and the α that they have', () => {
    const members = [100, 1, 0, 12345].map(count => contribution(count, LOW_RANK, SITES, seeded(count)))
    expect(stack(members, SITES)!.spec).to.deep.equal({ kind: 'low-rank', rank: 12, alpha: 32 })
  })

  it('has at each site the ranks of those that have it', () => {
    const [first, second] = SITES
    const members = [contribution(1, LOW_RANK, [first, second], seeded(1)), contribution(2, { ...LOW_RANK, rank: 2, ranks: { [second.name]: 5 } }, SITES, seeded(2))]
    const { spec, tensors } = stack(members, SITES)!
    expect(SITES.map(({ name }) => spec.ranks?.[name] ?? spec.rank)).to.deep.equal([5, 8, 2])
    expect(SITES.map(({ name }) => tensors.get(name)!.get('lora_A.weight')!.shape[0])).to.deep.equal([5, 8, 2])
  })

  it('is the only one as it is', () => {
    for (const spec of [LOW_RANK, LINEAR]) {
      const { adapter, ...member } = contribution(0, spec, SITES, seeded(1))
      expect(stack([{ adapter, ...member }], SITES)).to.deep.equal({ spec, tensors: adapter })
    }
  })

  it('is the mean itself where there is a linear one', () => {
    const random = seeded(1)
    for (const kinds of [[LINEAR, LINEAR], [LOW_RANK, LINEAR], [PERCEPTRON, LINEAR]]) {
      const members = kinds.map((spec, k) => contribution(3 + k, spec, SITES, random))
      const mean = new Map([...meanOfProducts(members, SITES)].map(([site, weight]) => [site, new Map([['weight', weight]])]))
      expect(stack(members, SITES)).to.deep.equal({ spec: { kind: 'linear', rank: 1, alpha: 1 }, tensors: mean })
    }
  })

  it('is nothing where there is no ΔW', () => {
    expect(stack([], SITES)).to.equal(undefined)
    expect(stack([1, 2].map(count => contribution(count, LOW_RANK, SITES.slice(1), seeded(count))), SITES.slice(0, 1))).to.equal(undefined)
    expect(stack([1, 2].map(count => contribution(count, PERCEPTRON, SITES, seeded(count))), SITES)).to.equal(undefined)
  })

  it('refuses an adapter of another rank than it is said to have', () => {
    const members = [contribution(1, LOW_RANK, SITES, seeded(1)), { ...contribution(1, { ...LOW_RANK, rank: 2 }, SITES, seeded(2)), spec: LOW_RANK }]
    expect(() => stack(members, SITES)).to.throw(InvalidAdapterError, /h\.0\.attn\.lora_A\.weight.*\[2, 5\].*\[3, 5\]/)
  })
})

describe('merge: auxiliaries beside one another', () => {
  before(async () => { await startBackend() })

  for (const [what, members] of mixtures()) {
    it(`add up to Σ p_k·α_k·g_k: ${what}`, () => {
      const before = tf.memory().numTensors
      const beside = besideOneAnother(members, all)
      for (const site of SITES) {
        const shares = sharesAt(members, site.name)
        tf.tidy(() => {
          const x = tf.randomUniform<tf.Rank.R2>([6, site.inFeatures], -1, 1, 'float32', 1) // [places, in]
          const none = tf.zeros<tf.Rank.R2>([6, site.outFeatures])
          const expected = members.reduce((sum, { spec, adapter }, k) => {
            const own = adapter.get(site.name)
            return own === undefined ? sum : tf.add(sum, tf.mul(added(spec, site, x, own), shares[k]))
          }, none)
          const actual = beside.reduce((sum, { spec, tensors }) => {
            const own = tensors.get(site.name)
            return own === undefined ? sum : tf.add(sum, added(spec, site, x, own))
          }, none)
          expect(relativeError(actual.dataSync(), expected.dataSync()), site.name).to.be.below(1e-6)
        })
      }
      expect(tf.memory().numTensors).to.equal(before)
    })
  }

  it('are those that are wanted, with their shares among all', () => {
    const members = [contribution(3, LOW_RANK, SITES, seeded(1)), contribution(1, PERCEPTRON, SITES, seeded(2))]
    const [others, ...more] = besideOneAnother(members, spec => !isMergeable(spec))
    expect(more).to.deep.equal([])
    expect(others.tensors).to.deep.equal(members[1].adapter)
    expect(others.spec).to.deep.equal({ ...PERCEPTRON, alphas: Object.fromEntries(SITES.map(({ name }) => [name, 0.5])) })
    expect(besideOneAnother(members, () => false)).to.deep.equal([])
  })

  it('are as they are where each is alone at its sites', () => {
    const [first, ...rest] = SITES
    const members = [contribution(3, LOW_RANK, [first], seeded(1)), contribution(0, PERCEPTRON, rest, seeded(2))]
    expect(besideOneAnother(members, all)).to.deep.equal(members.map(({ spec, adapter }) => ({ spec, tensors: adapter })))
  })

  it('are left out where they have no share', () => {
    const [first, second] = SITES
    const members = [contribution(3, LOW_RANK, [first], seeded(1)), contribution(0, PERCEPTRON, [first, second], seeded(2)), contribution(0, LINEAR, [first], seeded(3))]
    expect(besideOneAnother(members, all).map(({ spec: { kind }, tensors }) => [kind, [...tensors.keys()]])).to.deep.equal([['low-rank', [first.name]], ['mlp', [second.name]]])
  })
})
