import * as tf from '@tensorflow/tfjs'
import { type ModuleResult, outerScaleAt, rankAt, scaleAt, seenBy } from '../auxiliary-spec.js'
import { matrixInput } from '../engine/matrix-input.js'
import { matrixProduct } from '../engine/matrix-product.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, NamedTensors, Site } from '../types.js'
import { applyAuxiliary, parameterShapes } from './auxiliary.js'
import type { SeenBeside } from './auxiliary-definition.js'

/** Neighbouring rows of one pass, and the auxiliaries that are beside the base model for them. */
export interface RowBlock {
  readonly rows: number
  /** What they give is added up. */
  readonly own: readonly OwnAuxiliaries[]
}

interface OwnAuxiliaries {
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
  /** Norms of the rows of W + αBA, `[out]`, by site, for kinds that divide by them. */
  readonly norms?: ReadonlyMap<string, FloatTensor>
}

/** The auxiliaries of all blocks as one function of tensors. */
export interface BlockAuxiliaries {
  /** Names what `apply` does: the same name and the same shapes of inputs mean the same work. */
  readonly key: string
  readonly inputs: NamedTensors<Float32Array>
  /** Σ α·g(x) of each block's own g, `[places, out]`; undefined at a site without auxiliaries. Pure. */
  readonly apply: (site: Site, x: tf.Tensor2D, tensor: (name: string) => tf.Tensor2D, given?: Given) => tf.Tensor2D | undefined
}

/** What the module gives without them, `[places, out]`. Only kinds that see it need it. */
type Given = Readonly<Partial<Record<ModuleResult, tf.Tensor2D>>>

/** Ranks are filled up to a multiple of this, so that few differ. */
const RANK_STEP = 8

/** The inputs that are what an auxiliary is multiplied by, and the norms that it divides by. */
const SCALE = 'scale'
const NORM = 'norm'

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
  for (const [k, { spec, adapter, norms }] of others.entries()) {
    for (const site of sites) {
      const own = adapter.get(site)
      if (own === undefined) continue
      for (const [name, tensor] of own) inputs.set(`${k}|${site}|${name}`, tensor)
      const norm = norms?.get(site)
      if (norm !== undefined) inputs.set(`${k}|${site}|${NORM}`, norm)
      inputs.set(`${k}|${site}|${SCALE}`, { shape: [1, 1], values: Float32Array.of(outerScaleAt(spec, site)) })
    }
  }
  return {
    key: JSON.stringify([stacked, others.map(({ begin, rows, spec, adapter }) => [begin, rows, spec.kind, [...adapter.keys()].map(site => [site, spec.kind === 'dora' ? scaleAt(spec, site) : null])])]),
    inputs,
    apply: (site, x, tensor, given = {}) => {
      const { name } = site
      const input = matrixInput(site, x) // [places, in]
      const parts = others.flatMap((block, k) => block.adapter.has(name)
        ? [ofOneBlock(block, site, input, given, rows, parameter => tensor(`${k}|${name}|${parameter}`))]
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

interface Placed extends OwnAuxiliaries {
  /** The first of its rows. */
  readonly begin: number
  readonly rows: number
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

/** Of its own rows of x; 0 elsewhere. What it is multiplied by is one of the inputs: it moves with its owner's share. */
function ofOneBlock ({ begin, rows, spec, norms }: Placed, site: Site, x: tf.Tensor2D, given: Given, allRows: number, tensor: (name: string) => tf.Tensor): tf.Tensor2D {
  const places = x.shape[0] / allRows // in a row
  const own = (of: tf.Tensor2D): tf.Tensor2D => tf.slice(of, [begin * places, 0], [rows * places, of.shape[1]])
  const what = seenBy(spec.kind)
  const result = what && given[what]
  const seen: SeenBeside = { ...(result && { output: own(result) }), ...(norms?.has(site.name) === true && { norm: tensor(NORM) as tf.Tensor1D }) }
  const added = applyAuxiliary(spec, site, own(x), [...parameterShapes(spec, site).keys()].map(tensor), seen, tensor(SCALE)) // [own places, out]
  return tf.pad(added, [[begin * places, (allRows - begin - rows) * places], [0, 0]])
}
