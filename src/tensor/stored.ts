import { open } from 'node:fs/promises'
import { InvalidTensorError } from '../errors.js'
import type { FloatTensor } from '../types.js'
import { decodeValues, floatTensor, type SafetensorsDtype } from './safetensors.js'

/** A tensor that lies in a file: where, and as what. */
export interface StoredTensor {
  readonly path: string
  /** Of its first byte in the file. */
  readonly offset: number
  readonly bytes: number
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
}

/** One read takes little less than 2 GiB at most. */
const MAX_READ_BYTES = 1 << 30

/** Its values, as float32. @throws {InvalidTensorError} if it holds integers, or the file has become shorter */
export async function readStored (name: string, { path, offset, bytes, dtype, shape }: StoredTensor): Promise<FloatTensor> {
  const file = await open(path)
  try {
    const buffer = new Uint8Array(bytes)
    for (let done = 0; done < bytes;) {
      const { bytesRead } = await file.read(buffer, done, Math.min(bytes - done, MAX_READ_BYTES), offset + done)
      if (bytesRead === 0) throw new InvalidTensorError(`${name}: ${path} ends before it; the file was changed`)
      done += bytesRead
    }
    return floatTensor(new Map([[name, decodeValues(name, { dtype, shape, begin: 0, end: bytes }, buffer)]]), name)
  } finally {
    await file.close()
  }
}
