import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, open, mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { EngineError } from '../../errors.js'
import { type HalfDtype, narrow, readStored, type StoredTensor } from '../../tensor/stored.js'
import type { Weights } from '../engine.js'
import type { ExternalWeight } from './compile.js'

export interface ExternalWeights {
  /** To which their locations are relative. */
  readonly folder: string
  readonly weights: ReadonlyMap<string, ExternalWeight>
}

/** Each weight begins at a multiple of this, in bytes: no element lies across it. */
const ALIGNMENT = 64

/** Where converted weights are kept: `$COLANET_CACHE`, or `colanet` among the user's caches. */
function cacheFolder (): string {
  return process.env.COLANET_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'colanet')
}

/**
 * Weights as ONNX Runtime maps them into memory, those that are rounded in 16 bits, all others as float32: where they lie
 * if they are that there, else from a copy in the cache folder, which is made once.
 */
export async function externalWeights (weights: Weights): Promise<ExternalWeights> {
  const others = new Map([...weights].filter(([, stored]) => stored.dtype !== keptAs(stored)))
  const inFiles = others.size === 0 ? weights : new Map([...weights, ...await converted(others)])
  const paths = new Map<string, string>()
  for (const { path } of inFiles.values()) {
    if (!paths.has(path)) paths.set(path, await realpath(path)) // the Hub's cache is made of links
  }
  const folder = commonFolder([...paths.values()])
  return {
    folder,
    weights: new Map([...inFiles].map(([name, { path, offset, bytes, shape, rounded }]) =>
      [name, { location: relative(folder, paths.get(path) ?? path), offset, length: bytes, shape, ...(rounded && { kept: HALVES[rounded] }) }]))
  }
}

const HALVES = { F16: 'float16', BF16: 'bfloat16' } as const

function keptAs ({ rounded }: StoredTensor): 'F32' | HalfDtype {
  return rounded ?? 'F32'
}

function commonFolder (paths: readonly string[]): string {
  if (paths.length === 0) return sep
  const [first, ...others] = paths.map(path => dirname(path).split(sep))
  const shared = others.reduce((common, parts) => common.filter((part, i) => common.slice(0, i + 1).join(sep) === parts.slice(0, i + 1).join(sep) && part === parts[i]), first)
  return shared.join(sep) || sep
}

/** One file with all of them as they are kept, one after the other. */
async function converted (weights: Weights): Promise<Weights> {
  const path = join(cacheFolder(), 'weights', `${await fingerprint(weights)}.weights`)
  const places = new Map<string, StoredTensor>()
  let end = 0
  for (const [name, stored] of weights) {
    const dtype = keptAs(stored)
    const bytes = (dtype === 'F32' ? 4 : 2) * stored.shape.reduce((product, size) => product * size, 1)
    places.set(name, { ...stored, path, offset: end, bytes, dtype })
    end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
  }
  const { size } = await stat(path).catch(() => ({ size: -1 }))
  if (size !== end) await convert(weights, path)
  return places
}

async function convert (weights: Weights, path: string): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`
  const file = await openNew(partial)
  try {
    for (const [name, stored] of weights) await file.writeFile(await bytesOf(name, stored)) // after what is there, and more than one write can take
    await file.sync()
    await file.close()
    await rename(partial, path)
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw error
  }
}

/** As it is kept, filled up to where the next one begins. */
async function bytesOf (name: string, stored: StoredTensor): Promise<Uint8Array> {
  const { values } = await readStored(name, stored)
  const kept = stored.rounded === undefined ? values : narrow(values, stored.rounded)
  const bytes = new Uint8Array(Math.ceil(kept.byteLength / ALIGNMENT) * ALIGNMENT)
  bytes.set(new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength))
  return bytes
}

/** @throws {EngineError} if there is no place for it */
async function openNew (path: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true })
    return await open(path, 'wx')
  } catch (cause) {
    throw new EngineError(`weights that lie in another dtype than they are wanted in are copied to ${dirname(path)}, where nothing can be written (${(cause as Error).message}); set COLANET_CACHE to a folder of yours`, { cause })
  }
}

/** Of the files and what is taken of them: another file, or the same one changed, has another. */
async function fingerprint (weights: Weights): Promise<string> {
  const hash = createHash('sha256')
  const seen = new Set<string>()
  for (const [name, { path, offset, dtype, shape, rounded }] of weights) {
    if (!seen.has(path)) {
      const { size, mtimeMs } = await stat(path)
      hash.update(JSON.stringify([await realpath(path), size, mtimeMs]))
      seen.add(path)
    }
    hash.update(JSON.stringify([name, path, offset, dtype, shape, rounded]))
  }
  return hash.digest('hex')
}
