import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DownloadError } from '../errors.js'
import { hashFile, startHash } from './checksum.js'
import type { HubConnection } from './connection.js'
import type { RemoteFile, Repository } from './repository.js'
import { retrying, TransientError } from './retrying.js'

export interface DownloadInit {
  readonly connection: HubConnection
  readonly repository: Pick<Repository, 'name' | 'commit'>
  readonly folder: string
  /** Ends with that of the connection. */
  readonly signal: AbortSignal
  /** Is told how many bytes of the file are there, and how many came over the network just now. */
  readonly onProgress?: (there: number, received: number) => void
}

/** Whether the folder has the file, with these very bytes. @param onBytes is told how many bytes were read, again and again */
export async function isWhole ({ name, size, checksum }: RemoteFile, folder: string, signal: AbortSignal, onBytes?: (count: number) => void): Promise<boolean> {
  const path = join(folder, name)
  if (await sizeOf(path) !== size) return false
  const hash = startHash(checksum.kind, size)
  await hashFile(path, hash, size, signal, onBytes)
  return hash.digest('hex') === checksum.value
}

/** How much of it an earlier call left, in bytes. */
export async function partialSize (file: RemoteFile, folder: string): Promise<number> {
  const size = await sizeOf(join(folder, partialName(file))) ?? 0
  return size > file.size ? 0 : size
}

/**
 * Downloads a file: into one beside its place, whose name has its checksum, so that nobody goes on with other content than
 * was begun; under its own name once it is whole and has that checksum. What is there of it is not asked for again.
 *
 * The bytes are asked for at the Hub's plain address, also where it keeps the file in Xet: a file there is served whole and
 * in ranges as any other. The client's own `downloadFile` makes a `Blob`, which neither says why it ended nor whether the
 * range that was asked for is the one that came.
 *
 * @throws {DownloadError} if it cannot be had, or has another checksum, which throws away what came
 */
export async function downloadFile (file: RemoteFile, init: DownloadInit): Promise<void> {
  const { folder, signal } = init
  const partial = join(folder, partialName(file))
  await removeOtherPartials(file, folder)
  const handle = await open(partial, 'a+')
  const part = new Part(file, handle)
  try {
    await part.resume(partial, signal)
    await fetchRest(part, init)
    if (part.digest() !== file.checksum.value) throw new WrongContentError(`the bytes of ${file.name} are not those that the Hub lists`)
    await handle.sync()
  } catch (error) {
    if (part.size === 0) await rm(partial, { force: true })
    throw await explained(error, partial, file)
  } finally {
    await handle.close()
  }
  await rename(partial, join(folder, file.name))
}

/** What came cannot be used, and is thrown away. */
class WrongContentError extends Error {
  override readonly name = 'WrongContentError'
}

/** The bytes of a file that are there, and their hash, which are always as far. */
class Part {
  readonly file: RemoteFile
  readonly #handle: FileHandle
  #hash: ReturnType<typeof startHash>
  #size = 0

  constructor (file: RemoteFile, handle: FileHandle) {
    this.file = file
    this.#handle = handle
    this.#hash = startHash(file.checksum.kind, file.size)
  }

  /** In bytes. */
  get size (): number {
    return this.#size
  }

  /** Goes on from what lies at the path. */
  async resume (path: string, signal: AbortSignal): Promise<void> {
    const { size } = await this.#handle.stat()
    if (size > this.file.size) {
      await this.clear()
      return
    }
    await hashFile(path, this.#hash, size, signal, count => { this.#size += count })
  }

  async append (bytes: Uint8Array): Promise<void> {
    if (this.#size + bytes.byteLength > this.file.size) throw new WrongContentError(`${this.file.name} is longer than the ${this.file.size} bytes that the Hub lists`)
    await this.#handle.appendFile(bytes)
    this.#hash.update(bytes)
    this.#size += bytes.byteLength
  }

  async clear (): Promise<void> {
    await this.#handle.truncate(0)
    this.#hash = startHash(this.file.checksum.kind, this.file.size)
    this.#size = 0
  }

  /** In hex. */
  digest (): string {
    return this.#hash.digest('hex')
  }
}

async function fetchRest (part: Part, { connection, repository: { name, commit }, signal, onProgress }: DownloadInit): Promise<void> {
  const { file } = part
  const url = `${connection.access.endpoint}/${name}/resolve/${commit}/${encodeURIComponent(file.name)}`
  onProgress?.(part.size, 0)
  let furthest = part.size
  await retrying(async forward => {
    if (part.size === file.size) return
    // A body that is compressed on its way has no ranges.
    const headers = { 'accept-encoding': 'identity', ...(part.size > 0 && { range: `bytes=${part.size}-` }) }
    await connection.request(url, headers, async (answer, body) => {
      if (!answersFrom(answer, part.size)) await part.clear()
      for await (const chunk of body) {
        await part.append(chunk)
        // Where each try begins anew, only what no try before had is progress.
        if (part.size > furthest) forward()
        furthest = Math.max(furthest, part.size)
        onProgress?.(part.size, chunk.byteLength)
      }
    }, signal)
    if (part.size < file.size) throw new TransientError(`${file.name} ended after ${part.size} of ${file.size} bytes`)
  }, connection.retries(signal))
}

/**
 * Whether the answer begins where it was asked to; some servers give the whole file instead.
 *
 * @throws {DownloadError} if it begins somewhere else
 */
function answersFrom ({ status, headers }: Response, begin: number): boolean {
  if (status !== 206) return begin === 0
  const range = headers.get('Content-Range')
  if (range?.startsWith(`bytes ${begin}-`) !== true) throw new DownloadError(`bytes from ${begin} on were asked for, and ${range ?? 'others'} came`)
  return true
}

function partialName ({ name, checksum }: RemoteFile): string {
  return `${name}.${checksum.value}.incomplete`
}

/** What was begun of the same file at other commits. */
async function removeOtherPartials (file: RemoteFile, folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const other = name.startsWith(`${file.name}.`) && /^[0-9a-f]+\.incomplete$/.test(name.slice(file.name.length + 1))
    if (other && name !== partialName(file)) await rm(join(folder, name), { force: true })
  }
}

async function explained (error: unknown, partial: string, { size }: RemoteFile): Promise<unknown> {
  if (error instanceof WrongContentError) {
    await rm(partial, { force: true })
    return new DownloadError(`${error.message}; what came is thrown away, the same call begins anew`, { cause: error })
  }
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    const missing = size - (await sizeOf(partial) ?? 0)
    return new DownloadError(`no room for ${missing} more bytes of ${partial} (${code}); make room, and the same call goes on from there`, { cause: error })
  }
  return error
}

async function sizeOf (path: string): Promise<number | undefined> {
  return await stat(path).then(found => found.isFile() ? found.size : undefined, () => undefined)
}
