import type { TensorValues } from '../../../types.js'
import { SharedMemory } from '../../shared-memory.js'

/** A copy of a value whose tensors can be seen by all threads, until they are given up. */
export interface SharedCopy {
  readonly value: unknown
  readonly giveUp: () => void
}

/** Copies of values for other threads: tensors are copied once, into memory that is used again. */
export class SharedCopies {
  readonly #memory = new SharedMemory()

  /** @param value made of maps, arrays, plain objects and tensors */
  of (value: unknown): SharedCopy {
    const taken: SharedArrayBuffer[] = []
    const copy = (part: unknown): unknown => {
      if (part instanceof Float32Array || part instanceof Int32Array) return this.#shared(part, taken)
      if (part instanceof Map) return new Map([...part].map(([key, own]): [unknown, unknown] => [key, copy(own)]))
      if (Array.isArray(part)) return part.map(copy)
      if (typeof part === 'object' && part !== null) return Object.fromEntries(Object.entries(part).map(([key, own]) => [key, copy(own)]))
      return part
    }
    return { value: copy(value), giveUp: () => { for (const memory of taken) this.#memory.giveBack(memory) } }
  }

  #shared (values: TensorValues, taken: SharedArrayBuffer[]): TensorValues {
    const memory = this.#memory.take(values.byteLength).buffer as SharedArrayBuffer
    taken.push(memory)
    const copy = values instanceof Float32Array ? new Float32Array(memory) : new Int32Array(memory)
    copy.set(values)
    return copy
  }
}
