import { InvalidBatchError } from '../errors.js'
import { type Lengths, lengthsOf } from '../places.js'
import type { Batch, FloatTensor, NamedTensors, TensorData, TensorValues } from '../types.js'
import type { Network } from './network.js'
import { definitionOf } from './tasks/tasks.js'
import type { Field } from './tasks/task.js'

/** Rows of a pass: all, or some where all are too many for the memory. */
export interface PassShape {
  readonly firstRow: number
  readonly rows: number
  readonly lengths: Lengths
}

/** Rows as the inputs of a pass, `[rows, …]` each. */
export interface PassInputs extends PassShape {
  readonly tensors: NamedTensors
}

/** Several batches as the inputs of one pass: rows below each other, filled up to lengths and a number of rows. */
export interface JoinedBatch extends PassInputs {
  readonly parts: readonly JoinedPart[]
}

interface JoinedPart {
  readonly batch: Batch
  /** Its first row. */
  readonly row: number
  /** Predictions that count. */
  readonly counted: number
}

/** Shapes are rounded up to multiples of these, so that few differ: a step is compiled for each. */
const LENGTH_STEP = 16
const ROWS_STEP = 4

/** Up to so many rows nothing is rounded: there filling up would cost most. */
const FEW_ROWS = 8

/** @throws {InvalidBatchError} if no label of a batch counts */
export function joinBatches (batches: readonly Batch[], network: Network): JoinedBatch {
  const { info } = network
  const definition = definitionOf(info.task)
  const all = batches.map(lengthsOf)
  const rounded = (axis: keyof Lengths): number => {
    const longest = Math.max(...all.map(lengths => lengths[axis]))
    return longest === 1 ? 1 : Math.min(info.positions, roundUp(longest, LENGTH_STEP))
  }
  const lengths = { input: rounded('input'), target: rounded('target') }
  const counted = batches.reduce((sum, { rows }) => sum + rows, 0)
  const rows = counted <= FEW_ROWS ? counted : roundUp(counted, ROWS_STEP)
  const fields = batches.map(batch => definition.fields(batch, network))
  let row = 0
  const parts = batches.map(batch => {
    const part = { batch, row, counted: definition.targets(batch, info).counted }
    if (part.counted === 0) throw new InvalidBatchError('no label counts: every label is -100, or rows have a single token')
    row += batch.rows
    return part
  })
  const tensors = new Map([...fields[0].keys()].map(name => [name, joined(fields.map(own => own.get(name)), parts, rows, lengths)]))
  return { firstRow: 0, rows, tensors, lengths, parts }
}

/** Some of the rows, from one of them. */
export function someRows ({ firstRow, lengths, tensors }: PassInputs, from: number, rows: number): PassInputs {
  return {
    firstRow: firstRow + from,
    rows,
    lengths,
    tensors: new Map([...tensors].map(([name, { shape: [all, ...rest], values }]) => {
      const size = values.length / all
      return [name, { shape: [rows, ...rest], values: values.subarray(from * size, (from + rows) * size) }]
    }))
  }
}

/** One field of all batches, as one tensor. */
function joined (fields: ReadonlyArray<Field | undefined>, parts: readonly JoinedPart[], rows: number, lengths: Lengths): TensorData {
  const [first] = fields
  const { axes = [], fill = 0, values: { constructor: Values } = new Float32Array() } = first ?? {}
  const rest = typeof axes === 'string' ? [lengths[axes]] : axes
  const size = rest.reduce((product, own) => product * own, 1)
  const values = new (Values as new (length: number) => TensorValues)(rows * size)
  if (fill !== 0) values.fill(fill)
  for (const [i, field] of fields.entries()) {
    const { batch, row } = parts[i]
    const own = (field?.values.length ?? 0) / batch.rows
    for (let r = 0; r < batch.rows; r++) values.set(field?.values.subarray(r * own, (r + 1) * own) ?? [], (row + r) * size)
  }
  if (fill !== 0) values.fill(0, rowsIn(parts) * size) // a row of nobody sees something
  return { shape: [rows, ...rest], values }
}

function rowsIn (parts: readonly JoinedPart[]): number {
  return parts.reduce((sum, { batch }) => sum + batch.rows, 0)
}

/**
 * What of a pass's tensor `[rows·length, features]` is one batch's, without what filled it up.
 *
 * @param length places in a row of the pass
 * @param own places in a row of the batch
 */
export function rowsOf ({ shape, values }: FloatTensor, length: number, firstRow: number, rows: number, own: number): FloatTensor {
  const features = shape[1]
  const ofBatch = { shape: [rows * own, features] }
  const begin = firstRow * length * features
  if (length === own) return { ...ofBatch, values: values.subarray(begin, begin + rows * length * features) }
  const cut = new Float32Array(rows * own * features)
  for (let row = 0; row < rows; row++) {
    const from = begin + row * length * features
    cut.set(values.subarray(from, from + own * features), row * own * features)
  }
  return { ...ofBatch, values: cut }
}

function roundUp (value: number, step: number): number {
  return Math.ceil(value / step) * step
}
