import type { Graph, Value } from '../graph.js'

export function scalar (graph: Graph, value: number): Value {
  return graph.constant(Float32Array.of(value), { shape: [], dtype: 'float32' })
}

/** Whether it is known to hold nothing but one number. */
export function isAll ({ data }: Value, number: number): boolean {
  return data?.every(value => value === number) === true
}
