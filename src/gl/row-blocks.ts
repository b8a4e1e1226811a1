import * as tf from '@tensorflow/tfjs'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, NamedTensors, Site } from '../types.js'
import { applyAuxiliary, parameterShapes } from './auxiliary.js'

/** Neighbouring tokens of one pass, and the auxiliaries that are theirs alone. */
export interface RowBlock {
  readonly tokens: number
  /** Null where there are none. */
  readonly own: { readonly spec: AuxiliarySpec, readonly adapter: AdapterTensors } | null
}

/** The auxiliaries of all blocks as one function of tensors. */
export interface BlockAuxiliaries {
  /** Names what `apply` does: the same name and the same shapes of inputs mean the same work. */
  readonly key: string
  readonly inputs: NamedTensors<Float32Array>
  /** α·g(x) of each block's own g, `[tokens, out]`; undefined at a site without auxiliaries. Pure. */
  readonly apply: (site: Site, x: tf.Tensor2D, tensor: (name: string) => tf.Tensor2D) => tf.Tensor2D | undefined
}

/** Ranks are filled up to a multiple of this, so that few differ. */
const RANK_STEP = 8

/**
 * Low-rank auxiliaries of many owners cost two products: their factors are stacked to rank R = Σ r_k, and of x·Aᵀ
 * `[tokens, R]` each block keeps the columns of its owner, times α_k. Others take their own rows of x.
 *
 * @param blocks all tokens of the pass, in order, filled up with blocks of nobody
 * @param sites of all adapters together
 */
export function joinBlocks (blocks: readonly RowBlock[], sites: readonly string[]): BlockAuxiliaries {
  const placed = place(blocks)
  const tokens = blocks.reduce((sum, block) => sum + block.tokens, 0)
  const lowRank = placed.filter(({ spec }) => spec.kind === 'low-rank')
  const others = placed.filter(({ spec }) => spec.kind !== 'low-rank')
  const columns = stackColumns(lowRank)
  const inputs = new Map<string, FloatTensor>()
  const { rank } = columns
  const stacked = sites.filter(site => lowRank.some(({ adapter }) => adapter.has(site)))
  if (rank > 0) {
    inputs.set('scales', scales(lowRank, columns, tokens))
    for (const site of stacked) stackSite(inputs, columns, site)
  }
  for (const [k, { adapter }] of others.entries()) {
    for (const site of sites) {
      for (const [name, tensor] of adapter.get(site) ?? []) inputs.set(`${k}|${site}|${name}`, tensor)
    }
  }
  return {
    key: JSON.stringify([stacked, others.map(({ begin, tokens, spec: { kind, rank, alpha }, adapter }) => [begin, tokens, kind, alpha / rank, [...adapter.keys()]])]),
    inputs,
    apply: (site, x, tensor) => {
      const { name } = site
      const parts = others.flatMap((block, k) => block.adapter.has(name)
        ? [ofOneBlock(block, x, [...parameterShapes(block.spec, site).keys()].map(parameter => tensor(`${k}|${name}|${parameter}`)))]
        : [])
      if (stacked.includes(name)) {
        const inner = tf.mul<tf.Tensor2D>(tf.matMul(x, tensor(`${name}|A`), false, true), tensor('scales')) // [tokens, R]
        parts.unshift(tf.matMul(inner, tensor(`${name}|B`), false, true)) // [tokens, out]
      }
      return parts.length === 0 ? undefined : parts.reduce((sum, part) => tf.add(sum, part))
    }
  }
}

interface Placed {
  /** The first of its tokens. */
  readonly begin: number
  readonly tokens: number
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
}

function place (blocks: readonly RowBlock[]): Placed[] {
  let begin = 0
  return blocks.flatMap(({ tokens, own }) => {
    const placed = own === null ? [] : [{ begin, tokens, ...own }]
    begin += tokens
    return placed
  })
}

/** The stacked factors: which columns of R are whose. */
interface Columns {
  /** R, filled up. */
  readonly rank: number
  readonly owners: ReadonlyMap<AdapterTensors, { readonly first: number, readonly rank: number }>
}

/** Blocks with one and the same adapter share its columns. */
function stackColumns (blocks: readonly Placed[]): Columns {
  const owners = new Map<AdapterTensors, { first: number, rank: number }>()
  let used = 0
  for (const { adapter, spec: { rank } } of blocks) {
    if (owners.has(adapter)) continue
    owners.set(adapter, { first: used, rank })
    used += rank
  }
  return { rank: Math.ceil(used / RANK_STEP) * RANK_STEP, owners }
}

/** α_k where a token's owner has its columns, 0 elsewhere; `[tokens, R]`. */
function scales (blocks: readonly Placed[], { owners, rank }: Columns, tokens: number): FloatTensor {
  const values = new Float32Array(tokens * rank)
  for (const { begin, tokens: count, spec, adapter } of blocks) {
    const { first, rank: own } = owners.get(adapter) ?? { first: 0, rank: 0 }
    for (let t = begin; t < begin + count; t++) values.fill(spec.alpha / spec.rank, t * rank + first, t * rank + first + own)
  }
  return { shape: [tokens, rank], values }
}

/** A `[R, in]` and B `[out, R]` of one site; zero where nobody has a column. */
function stackSite (inputs: Map<string, FloatTensor>, { owners, rank }: Columns, site: string): void {
  const known = [...owners.keys()].map(adapter => factorsOf(adapter, site)).find(({ a }) => a !== undefined)
  const [inFeatures, outFeatures] = [known?.a?.shape[1] ?? 0, known?.b?.shape[0] ?? 0]
  const stackedA = new Float32Array(rank * inFeatures)
  const stackedB = new Float32Array(outFeatures * rank)
  for (const [adapter, { first, rank: own }] of owners) {
    const { a, b } = factorsOf(adapter, site)
    if (a === undefined || b === undefined) continue
    stackedA.set(a.values, first * inFeatures)
    for (let o = 0; o < outFeatures; o++) stackedB.set(b.values.subarray(o * own, (o + 1) * own), o * rank + first)
  }
  inputs.set(`${site}|A`, { shape: [rank, inFeatures], values: stackedA })
  inputs.set(`${site}|B`, { shape: [outFeatures, rank], values: stackedB })
}

function factorsOf (adapter: AdapterTensors, site: string): { a: FloatTensor | undefined, b: FloatTensor | undefined } {
  const own = adapter.get(site)
  return { a: own?.get('lora_A.weight'), b: own?.get('lora_B.weight') }
}

/** Of its own rows of x; 0 elsewhere. */
function ofOneBlock ({ begin, tokens, spec }: Placed, x: tf.Tensor2D, parameters: readonly tf.Tensor2D[]): tf.Tensor2D {
  const all = x.shape[0]
  const own = tf.slice(x, [begin, 0], [tokens, x.shape[1]])
  return tf.pad(applyAuxiliary(spec, own, parameters), [[begin, all - begin - tokens], [0, 0]])
}
