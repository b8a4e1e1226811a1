import type { Batch, NamedTensors } from '../types.js'

/** Tensors as a batch. That they have as many rows each is for the model to check. */
export function batchOf (tensors: NamedTensors): Batch {
  const [rows = 0] = [...tensors.values()].at(0)?.shape ?? []
  return { rows, tensors }
}
