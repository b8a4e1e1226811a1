import { seenBy } from '../../src/auxiliary-spec.js'
import { hasFactors } from '../../src/gl/factor-gradients.js'
import { hasProduct } from '../../src/gl/products.js'
import type { ModelInfo } from '../../src/model/base-model.js'
import type { LentPart, LentPass } from '../../src/node/host/lent-model.js'
import { type AdapterTensors, AUXILIARY_KINDS, type AuxiliarySpec, type Site } from '../../src/types.js'
import { randomAdapter } from '../gl/adaptation.js'
import { isPossible } from '../gl/possible.js'
import { contribution, shuffled } from '../merge/random.js'
import { randomRows } from './random-model.js'

/** Auxiliaries beside the base model, merged into it, both, or none. */
const WAYS = [{}, { beside: true }, { merged: true }, { beside: true, merged: true }] as const

/** So many passes by number have each way with each kind of auxiliary. */
export const KINDS_OF_PASSES = WAYS.length * AUXILIARY_KINDS.length

/** How far biases of hidden units are from 0 at least: further than the products before them, whose weights sum to 1 at most. */
const FURTHEST: Readonly<Record<string, number>> = { 'layers.0.bias': 20, 'layers.1.bias': 50 }

/** One to three batches of a few rows each, with pairs wanted at some of the sites, or what they do to factors. */
export function randomPass (info: ModelInfo, number: number, random: () => number): LentPass {
  const spec = specOf(number)
  const way = WAYS[Math.floor(number / AUXILIARY_KINDS.length) % WAYS.length]
  const sites = shuffled(info.sites, random).slice(0, 1 + Math.floor(random() * info.sites.length))
  const parts = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, k) => randomPart(info, sites, specOf(number + k), 'beside' in way && k < 2, random))
  return {
    parts,
    sites: sites.map(({ name }) => name),
    merged: 'merged' in way ? { state: `${number}`, members: [contribution(3, spec, sites, random), contribution(1, specOf(number + 1), sites.slice(1), random)] } : null
  }
}

/**
 * A batch of a few rows, beside which there may be several auxiliaries, and whose trainer may want what its pairs do to its factors, or
 * to all that is linear in x.
 */
export function randomPart (info: ModelInfo, sites: readonly Site[], kind: AuxiliarySpec, beside: boolean, random: () => number): LentPart {
  const [first] = sites
  const spec = { ...kind, ranks: { [first.name]: kind.rank + 2 }, alphas: { [first.name]: kind.alpha / 3 } }
  const adapter = smoothAdapter(spec, sites.filter(site => isPossible(spec.kind, site)), random)
  const others = random() < 0.3 ? AUXILIARY_KINDS.map((_, k) => specOf(k)).filter(other => isPossible(other.kind, first)) : []
  const factors = hasFactors(spec) && random() < 0.5
  const product = hasProduct(spec) && random() < 0.3
  return {
    batch: randomRows(info, 1 + Math.floor(random() * 4), random),
    beside: beside ? [{ spec, tensors: adapter }, ...others.map(other => ({ spec: other, tensors: smoothAdapter(other, [first], random) }))] : [],
    ...(product ? { wire: 'product' } as const : factors ? { wire: 'factors' } as const : {}),
    ...(factors || seenBy(spec.kind) !== undefined ? { fitted: { spec, adapter } } : {})
  }
}

/**
 * A random adapter around which g is smooth: a perceptron's hidden units are on or off whatever x is, up to 20, as one that is near to 0
 * has its gradient or none by how sums are rounded.
 */
function smoothAdapter (spec: AuxiliarySpec, sites: readonly Site[], random: () => number): AdapterTensors {
  const adapter = randomAdapter(spec, sites, random)
  if (spec.kind !== 'mlp') return adapter
  return new Map([...adapter].map(([site, own]) => [site, new Map([...own].map(([name, { shape, values }]) => {
    const [width, from] = [FURTHEST[name] ?? 0, shape.at(1) ?? 1] // weights are [to, from]
    return [name, { shape, values: values.map(value => value / from + Math.sign(value) * width) }]
  }))]))
}

/** Of the kinds in turn, with several ranks and several α. */
export function specOf (number: number): AuxiliarySpec {
  return { kind: AUXILIARY_KINDS[number % AUXILIARY_KINDS.length], rank: 1 + number % 3, alpha: 0.1 + number % 2 / 10 }
}
