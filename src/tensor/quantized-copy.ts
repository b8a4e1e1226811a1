import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { z } from 'zod'
import { InvalidTensorError } from '../errors.js'
import { allFinite } from './finite.js'
import { BLOCK, blocksOf, dequantize, type Quantization, quantize, QUANTIZED_BITS } from './quantize.js'
import { type QuantizationError, readStored, type StoredTensor } from './stored.js'
import { aligned, copyPath, padded, writeCopy } from './weight-cache.js'

/** One read, in bytes. */
const READ_BYTES = 1 << 22

/** What stands behind the weights. */
const trailerSchema = z.object({
  /** Over all before it, and the errors, in hex. */
  sha256: z.string(),
  errors: z.array(z.object({ moved: z.number(), size: z.number() }))
})

/** Where the codes and the scales of a tensor lie in the copy. */
interface Place {
  readonly name: string
  readonly source: StoredTensor
  readonly codes: { readonly offset: number, readonly bytes: number }
  readonly scales: { readonly offset: number, readonly bytes: number }
}

/**
 * The tensors in fewer bits: in a copy in the cache folder, which is made once, a tensor at a time, and anew where it is not
 * what was written.
 *
 * @throws {InvalidTensorError} if a tensor holds what is not finite, or integers
 * @throws {EngineError} if there is no place for the copy
 */
export async function quantizedCopy (tensors: ReadonlyMap<string, StoredTensor>, kind: Quantization): Promise<Map<string, StoredTensor>> {
  const path = await copyPath(tensors, `${kind}, blocks of ${BLOCK}`)
  const { places, end } = placesOf(tensors, kind)
  const errors = await readErrors(path, end, places.length) ?? await write(path, places, kind)
  return new Map(places.map(({ name, source: { shape }, codes, scales }, i) =>
    [name, { path, ...codes, dtype: kind === 'int8' ? 'I8' : 'U8', shape, quantized: { kind, scales, error: errors[i] } }]))
}

function placesOf (tensors: ReadonlyMap<string, StoredTensor>, kind: Quantization): { places: Place[], end: number } {
  let end = 0
  const take = (bytes: number): Place['codes'] => {
    const offset = end
    end += aligned(bytes)
    return { offset, bytes }
  }
  const places = [...tensors].map(([name, source]) => {
    const blocks = blocksOf(source.shape.reduce((product, size) => product * size, 1))
    return { name, source, codes: take(blocks * BLOCK * QUANTIZED_BITS[kind] / 8), scales: take(4 * blocks) }
  })
  return { places, end }
}

async function write (path: string, places: readonly Place[], kind: Quantization): Promise<QuantizationError[]> {
  const errors: QuantizationError[] = []
  const hash = createHash('sha256')
  async function * parts (): AsyncGenerator<Uint8Array> {
    for (const { name, source } of places) {
      const { values } = await readStored(name, source)
      if (!allFinite(values)) throw new InvalidTensorError(`${name} holds ${values.find(value => !Number.isFinite(value))}, which has no place among ${kind}; use the model without --base-quantize`)
      const { codes, scales } = quantize(kind, values)
      errors.push(errorOf(values, dequantize(kind, { codes, scales }, values.length)))
      for (const array of [codes, scales]) {
        const part = padded(new Uint8Array(array.buffer))
        hash.update(part)
        yield part
      }
    }
    const trailer: z.input<typeof trailerSchema> = { sha256: hash.update(JSON.stringify(errors)).digest('hex'), errors }
    yield new TextEncoder().encode(JSON.stringify(trailer))
  }
  await writeCopy(path, parts())
  return errors
}

function errorOf (values: Float32Array, moved: Float32Array): QuantizationError {
  const error = { moved: 0, size: 0 }
  for (let i = 0; i < values.length; i++) {
    error.moved += (moved[i] - values[i]) ** 2
    error.size += values[i] ** 2
  }
  return error
}

/** What the copy says; undefined where there is none, or it is cut short or damaged. */
async function readErrors (path: string, end: number, count: number): Promise<QuantizationError[] | undefined> {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    if (size <= end) return undefined
    const bytes = Buffer.alloc(size - end)
    await file.read(bytes, 0, bytes.length, end)
    const { sha256, errors } = trailerSchema.parse(JSON.parse(bytes.toString()))
    const hash = await hashBytes(file, end)
    return errors.length === count && sha256 === hash.update(JSON.stringify(errors)).digest('hex') ? errors : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined
    throw error
  } finally {
    await file.close()
  }
}

/** Sha-256 over the first bytes of a file. */
async function hashBytes (file: FileHandle, end: number): Promise<Hash> {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(Math.min(READ_BYTES, end))
  for (let done = 0; done < end;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - done), done)
    hash.update(buffer.subarray(0, bytesRead))
    done += bytesRead
    if (bytesRead === 0) break // it was cut short just now
  }
  return hash
}
