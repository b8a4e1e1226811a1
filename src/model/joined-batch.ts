import { InvalidBatchError } from '../errors.js'
import type { Batch, FloatTensor } from '../types.js'
import { shiftLabels } from './loss.js'

/** Rows of a pass: all, or some where all are too many for the memory. */
export interface PassShape {
  readonly firstRow: number
  readonly rows: number
  /** Tokens in a row. */
  readonly length: number
}

/** Rows as the inputs of a pass. */
export interface PassInputs extends PassShape {
  readonly inputIds: Int32Array
  readonly attentionMask: Float32Array
  /** Added to the scores of what fills a row up: -∞, so that not even a token that sees nothing sees that; else 0. `[rows·length]` */
  readonly fillBias: Float32Array
  /** What each position shall predict. `[rows·length]` */
  readonly targetIds: Int32Array
  /** How much it counts in its batch's loss. `[rows·length]` */
  readonly targetWeights: Float32Array
}

/** Several batches as the inputs of one pass: rows below each other, filled up to a length and a number of rows. */
export interface JoinedBatch extends PassInputs {
  readonly parts: readonly JoinedPart[]
}

interface JoinedPart {
  readonly batch: Batch
  /** Its first row. */
  readonly row: number
  /** Positions that count. */
  readonly tokens: number
}

/** Shapes are rounded up to multiples of these, so that few differ: a step is compiled for each. */
const LENGTH_STEP = 16
const ROWS_STEP = 4

/** Up to so many rows nothing is rounded: there filling up would cost most. */
const FEW_ROWS = 8

/** @throws {InvalidBatchError} if no label of a batch counts */
export function joinBatches (batches: readonly Batch[], positions: number): JoinedBatch {
  const longest = Math.max(...batches.map(({ length }) => length))
  const length = Math.min(positions, roundUp(longest, LENGTH_STEP))
  const counted = batches.reduce((sum, { rows }) => sum + rows, 0)
  const rows = counted <= FEW_ROWS ? counted : roundUp(counted, ROWS_STEP)
  const joined = {
    firstRow: 0,
    rows,
    length,
    inputIds: new Int32Array(rows * length),
    attentionMask: new Float32Array(rows * length),
    fillBias: new Float32Array(rows * length),
    targetIds: new Int32Array(rows * length),
    targetWeights: new Float32Array(rows * length)
  }
  let row = 0
  const parts = batches.map(batch => {
    const part = { batch, row, tokens: place(batch, row, joined) }
    row += batch.rows
    return part
  })
  return { ...joined, parts }
}

/** Some of the rows, from one of them. */
export function someRows ({ firstRow, length, ...joined }: PassInputs, from: number, rows: number): PassInputs {
  const cut = <V extends Int32Array | Float32Array>(values: V): V => values.subarray(from * length, (from + rows) * length) as V
  return {
    firstRow: firstRow + from,
    rows,
    length,
    inputIds: cut(joined.inputIds),
    attentionMask: cut(joined.attentionMask),
    fillBias: cut(joined.fillBias),
    targetIds: cut(joined.targetIds),
    targetWeights: cut(joined.targetWeights)
  }
}

/** @returns positions that count */
function place (batch: Batch, firstRow: number, joined: PassInputs): number {
  const { ids, weights, tokens } = shiftLabels(batch)
  if (tokens === 0) throw new InvalidBatchError('no label counts: every label is -100, or rows have a single token')
  for (let row = 0; row < batch.rows; row++) {
    const [from, to] = [row * batch.length, (firstRow + row) * joined.length]
    const own = (values: Int32Array | Float32Array): Int32Array | Float32Array => values.subarray(from, from + batch.length)
    joined.inputIds.set(own(batch.inputIds), to)
    joined.attentionMask.set(own(batch.attentionMask), to)
    joined.targetIds.set(own(ids), to)
    joined.targetWeights.set(own(weights), to)
    joined.fillBias.fill(-Infinity, to + batch.length, to + joined.length)
  }
  return tokens
}

/** What of a pass's tensor `[rows·length, features]` is one batch's, without what filled it up. */
export function rowsOf ({ shape, values }: FloatTensor, length: number, firstRow: number, batch: Batch): FloatTensor {
  const features = shape[1]
  const own = { shape: [batch.rows * batch.length, features] }
  const begin = firstRow * length * features
  if (length === batch.length) return { ...own, values: values.subarray(begin, begin + batch.rows * length * features) }
  const cut = new Float32Array(batch.rows * batch.length * features)
  for (let row = 0; row < batch.rows; row++) {
    const from = begin + row * length * features
    cut.set(values.subarray(from, from + batch.length * features), row * batch.length * features)
  }
  return { ...own, values: cut }
}

function roundUp (value: number, step: number): number {
  return Math.ceil(value / step) * step
}
