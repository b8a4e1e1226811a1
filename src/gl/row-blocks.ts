import * as tf from '@tensorflow/tfjs'
import { rankAt, scaleAt } from '../auxiliary-spec.js'
import { matrixInput } from '../engine/matrix-input.js'
import { matrixProduct } from '../engine/matrix-product.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, NamedTensors, Site } from '../types.js'
import { applyAuxiliary, parameterShapes } from './auxiliary.js'

/** Neighbouring rows of one pass, and the auxiliaries that are beside the base model for them. */
export interface RowBlock {
  readonly rows: number
  /** What they give is added up. */
  readonly own: ReadonlyArray<{ readonly spec: AuxiliarySpec, readonly adapter: AdapterTensors }>
}

/** The auxiliaries of all blocks as one function of tensors. */
export interface BlockAuxiliaries {
  /** Names what `apply` does: the same name and the same shapes of inputs mean the same work. */
  readonly key: string
  readonly inputs: NamedTensors<Float32Array>
  /** Σ α·g(x) of each block's own g, `[places, out]`; undefined at a site without auxiliaries. Pure. */
  readonly apply: (site: Site, x: tf.Tensor2D, tensor: (name: string) => tf.Tensor2D) => tf.Tensor2D | undefined
}

/** Ranks are filled up to a multiple of this, so that few differ. */
const RANK_STEP = 8

/** The input that is an auxiliary's α. */
const SCALE = 'scale'

/** α of 1. */
const UNSCALED = { rank: 1, alpha: 1 }

/**
 * Low-rank auxiliaries of many owners cost two products: their factors are stacked to rank R = Σ r_k, and of x·Aᵀ
 * `[places, R]` each block keeps the columns of its owner, times α_k. Others take their own rows of x.
 *
 * @param blocks all rows of the pass, in order, filled up with blocks of nobody
 * @param sites of all adapters together
 */
export function joinBlocks (blocks: readonly RowBlock[], sites: readonly string[]): BlockAuxiliaries {
  const placed = place(blocks)
  const rows = blocks.reduce((sum, block) => sum + block.rows, 0)
  const lowRank = placed.filter(({ spec }) => spec.kind === 'low-rank')
  const others = placed.filter(({ spec }) => spec.kind !== 'low-rank')
  const columns = stackColumns(lowRank)
  const inputs = new Map<string, FloatTensor>()
  const { rank } = columns
  const stacked = sites.filter(site => lowRank.some(({ adapter }) => adapter.has(site)))
  if (rank > 0) {
    inputs.set('scales', scales(lowRank, columns, rows))
    for (const site of stacked) stackSite(inputs, columns, site)
  }
  for (const [k, { spec, adapter }] of others.entries()) {
    for (const site of sites) {
      const own = adapter.get(site)
      if (own === undefined) continue
      for (const [name, tensor] of own) inputs.set(`${k}|${site}|${name}`, tensor)
      inputs.set(`${k}|${site}|${SCALE}`, { shape: [1, 1], values: Float32Array.of(scaleAt(spec, site)) })
    }
  }
  return {
    key: JSON.stringify([stacked, others.map(({ begin, rows, spec, adapter }) => [begin, rows, spec.kind, [...adapter.keys()]])]),
    inputs,
    apply: (site, x, tensor) => {
      const { name } = site
      const input = matrixInput(site, x) // [places, in]
      const parts = others.flatMap((block, k) => block.adapter.has(name)
        ? [ofOneBlock(block, site, input, rows, parameter => tensor(`${k}|${name}|${parameter}`))]
        : [])
      if (stacked.includes(name)) {
        const inner = tf.reshape(matrixProduct(site, input, tensor(`${name}|A`)), [rows, -1, rank]) // [rows, places, R]
        const own = tf.reshape<tf.Rank.R2>(tf.mul(inner, tf.expandDims(tensor('scales'), 1)), [-1, rank]) // [places, R]
        parts.unshift(tf.matMul(own, tensor(`${name}|B`), false, true)) // [places, out]
      }
      return parts.length === 0 ? undefined : parts.reduce((sum, part) => tf.add(sum, part))
    }
  }
}

interface Placed {
  /** The first of its rows. */
  readonly begin: number
  readonly rows: number
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
}

function place (blocks: readonly RowBlock[]): Placed[] {
  let begin = 0
  return blocks.flatMap(({ rows, own }) => {
    const first = begin
    begin += rows
    return own.map(each => ({ begin: first, rows, ...each }))
  })
}

/** What is an adapter's of the stacked factors. */
interface Owned {
  /** Its first column. */
  readonly first: number
  /** How many it has: the highest rank of its sites. */
  readonly rank: number
  /** The α of its first site, which stands beside the factors; those of others are relative to it, in B. */
  readonly scale: number
  readonly spec: AuxiliarySpec
}

/** The stacked factors: which columns of R are whose. */
interface Columns {
  /** R, filled up. */
  readonly rank: number
  readonly owners: ReadonlyMap<AdapterTensors, Owned>
}

/** Blocks with one and the same adapter share its columns. */
function stackColumns (blocks: readonly Placed[]): Columns {
  const owners = new Map<AdapterTensors, Owned>()
  let used = 0
  for (const { adapter, spec } of blocks) {
    if (owners.has(adapter)) continue
    const sites = [...adapter.keys()]
    const rank = Math.max(0, ...sites.map(site => rankAt(spec, site)))
    owners.set(adapter, { first: used, rank, scale: scaleAt(spec, sites[0] ?? ''), spec })
    used += rank
  }
  return { rank: Math.ceil(used / RANK_STEP) * RANK_STEP, owners }
}

/** α_k where a row's owner has its columns, 0 elsewhere; `[rows, R]`. */
function scales (blocks: readonly Placed[], { owners, rank }: Columns, rows: number): FloatTensor {
  const values = new Float32Array(rows * rank)
  for (const { begin, rows: count, adapter } of blocks) {
    const { first, rank: own, scale } = owners.get(adapter) ?? { first: 0, rank: 0, scale: 0 }
    for (let row = begin; row < begin + count; row++) values.fill(scale, row * rank + first, row * rank + first + own)
  }
  return { shape: [rows, rank], values }
}

/** A `[R, in]` and B `[out, R]` of one site; zero where nobody has a column. */
function stackSite (inputs: Map<string, FloatTensor>, { owners, rank }: Columns, site: string): void {
  const known = [...owners.keys()].map(adapter => factorsOf(adapter, site)).find(({ a }) => a !== undefined)
  const [inFeatures, outFeatures] = [known?.a?.shape[1] ?? 0, known?.b?.shape[0] ?? 0]
  const stackedA = new Float32Array(rank * inFeatures)
  const stackedB = new Float32Array(outFeatures * rank)
  for (const [adapter, { first, scale, spec }] of owners) {
    const { a, b } = factorsOf(adapter, site)
    if (a === undefined || b === undefined) continue
    stackedA.set(a.values, first * inFeatures)
    setColumns(stackedB, first, rank, b, scaleAt(spec, site) / scale)
  }
  inputs.set(`${site}|A`, { shape: [rank, inFeatures], values: stackedA })
  inputs.set(`${site}|B`, { shape: [outFeatures, rank], values: stackedB })
}

/** Columns of B from the `first`, times a factor. */
function setColumns (stacked: Float32Array, first: number, width: number, { shape: [rows, own], values }: FloatTensor, factor: number): void {
  const scaled = factor === 1 ? values : values.map(value => value * factor)
  for (let row = 0; row < rows; row++) stacked.set(scaled.subarray(row * own, (row + 1) * own), row * width + first)
}

function factorsOf (adapter: AdapterTensors, site: string): { a: FloatTensor | undefined, b: FloatTensor | undefined } {
  const own = adapter.get(site)
  return { a: own?.get('lora_A.weight'), b: own?.get('lora_B.weight') }
}

/** Of its own rows of x; 0 elsewhere. Its α is one of the inputs: it moves with its owner's share. */
function ofOneBlock ({ begin, rows, spec }: Placed, site: Site, x: tf.Tensor2D, allRows: number, tensor: (parameter: string) => tf.Tensor2D): tf.Tensor2D {
  const places = x.shape[0] / allRows // in a row
  const own = tf.slice(x, [begin * places, 0], [rows * places, x.shape[1]])
  const unscaled = applyAuxiliary({ kind: spec.kind, ...UNSCALED }, site, own, [...parameterShapes(spec, site).keys()].map(tensor)) // [places, out]
  return tf.pad(tf.mul<tf.Tensor2D>(unscaled, tensor(SCALE)), [[begin * places, (allRows - begin - rows) * places], [0, 0]])
}
