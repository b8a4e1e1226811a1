import { open } from 'node:fs/promises'
import { encodeHeader, type SafetensorsDtype, sizeInBytes } from './safetensors.js'

/** A tensor that is to be written: its values are made when their turn comes. */
export interface WrittenTensor {
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  /** Its values, in the bytes of its dtype. */
  readonly bytes: () => Promise<Uint8Array>
}

export interface WriteOptions {
  /** Called after each tensor with the bytes done so far, and all. */
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/**
 * Writes a file of tensors in the order given, one after the other, so that no more than one has to be in memory.
 *
 * @param path where there is no file yet
 * @throws the signal's reason when it ends; the file is then not whole
 */
export async function writeSafetensors (path: string, tensors: ReadonlyMap<string, WrittenTensor>, { onProgress, signal }: WriteOptions = {}): Promise<void> {
  let total = 0
  const entries = [...tensors].map(([name, { dtype, shape }]) => {
    const begin = total
    total += sizeInBytes({ dtype, shape })
    return [name, { dtype, shape, data_offsets: [begin, total] }] as const
  })
  const file = await open(path, 'wx')
  try {
    await file.writeFile(encodeHeader([['__metadata__', { format: 'pt' }], ...entries]))
    let done = 0
    for (const { dtype, shape, bytes } of tensors.values()) {
      signal?.throwIfAborted()
      await file.writeFile(await bytes())
      done += sizeInBytes({ dtype, shape })
      onProgress?.(done, total)
    }
    await file.sync()
  } finally {
    await file.close()
  }
}
