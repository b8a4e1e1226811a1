import type { Batch, TensorData, TensorValues } from '../types.js'

/** Where a label counts for nothing, see `Batch.labels`. */
export const IGNORED = -100

/** Rows of one kind, which become batches. */
export interface RowSet {
  readonly count: number
  /** Of a row, in tokens; 0 where all are as long. */
  lengthOf (row: number): number
  /** Some of the rows, in that order, filled up to the longest of them. */
  batch (rows: readonly number[]): Promise<Batch>
  /** All that a row is, to tell sets apart. */
  contentOf (row: number): ReadonlyArray<TensorValues | Buffer>
}

/** What makes rows of what was read. */
export interface RowMaker<E> {
  /** Rows that lost tokens because they were longer than may be. */
  readonly truncated: number
  /** Gives each text when it is tokenised, so that other work can have its turn. */
  add (example: E): Iterable<string>
  /** All rows. Nothing can be added afterwards. */
  finish (): RowSet
}

/** Rows of tokens, and which of them are no padding. */
export function tokenTensors (rows: readonly Int32Array[], padding: number): ReadonlyArray<[name: string, tensor: TensorData]> {
  const seen = rows.map(({ length }) => new Int32Array(length).fill(1))
  return [['input_ids', padded(rows, padding)], ['attention_mask', padded(seen, 0)]]
}

/** `[rows, length]`: rows below each other, each filled up on the right to the longest. */
export function padded (rows: readonly Int32Array[], fill: number): TensorData {
  const length = Math.max(...rows.map(row => row.length))
  const values = new Int32Array(rows.length * length).fill(fill) // [rows, length]
  for (const [i, row] of rows.entries()) values.set(row, i * length)
  return { shape: [rows.length, length], values }
}
