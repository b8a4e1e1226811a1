import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { EngineError } from '../errors.js'
import type { StoredTensor } from './stored.js'

/** Each weight begins at a multiple of this, in bytes: no element lies across it. */
const ALIGNMENT = 64

/** The next place at which a weight may begin. */
export function aligned (offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT
}

/** Bytes filled up with zeros to where the next weight begins. */
export function padded (bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(aligned(bytes.byteLength))
  whole.set(bytes)
  return whole
}

/**
 * Where a copy of weights lies in another form: in `$COLANET_CACHE`, or `colanet` among the user's caches. The name is a hash
 * of the files, and of what is taken of them: another file, or the same one changed, has another.
 *
 * @param form that the copy has, where the weights do not say it
 */
export async function copyPath (weights: ReadonlyMap<string, StoredTensor>, form = ''): Promise<string> {
  const hash = createHash('sha256').update(form)
  const seen = new Set<string>()
  for (const [name, { path, offset, dtype, shape, rounded }] of weights) {
    if (!seen.has(path)) {
      const { size, mtimeMs } = await stat(path)
      hash.update(JSON.stringify([await realpath(path), size, mtimeMs]))
      seen.add(path)
    }
    hash.update(JSON.stringify([name, path, offset, dtype, shape, rounded]))
  }
  return join(cacheFolder(), 'weights', `${hash.digest('hex')}.weights`)
}

function cacheFolder (): string {
  return process.env.COLANET_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'colanet')
}

/**
 * Writes a copy whole or not at all, a part at a time.
 *
 * @param parts in their order; what throws in them leaves nothing behind
 * @throws {EngineError} if there is no place for it
 */
export async function writeCopy (path: string, parts: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`
  const file = await orSayWhere(path, openNew(partial))
  try {
    for await (const part of parts) await orSayWhere(path, file.writeFile(part)) // after what is there, and more than one write can take
    await orSayWhere(path, file.sync())
    await file.close()
    await rename(partial, path)
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw error
  }
}

async function openNew (path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true })
  return await open(path, 'wx')
}

async function orSayWhere<T> (path: string, done: Promise<T>): Promise<T> {
  try {
    return await done
  } catch (cause) {
    throw new EngineError(`weights that lie in another form than they are wanted in are copied to ${dirname(path)}, which cannot be written (${(cause as Error).message}); make room there, or set COLANET_CACHE to a folder of yours`, { cause })
  }
}
