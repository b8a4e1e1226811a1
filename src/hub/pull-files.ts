import { access, constants, mkdir, readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidOptionError } from '../errors.js'
import { type Choice, shardsOf, WEIGHT_FILES } from './choose-files.js'
import type { HubConnection } from './connection.js'
import { downloadFile, isWhole, partialSize } from './download-file.js'
import type { RemoteFile, Repository } from './repository.js'

/** Files that come at once: one connection seldom fills a line, and more than a few gain nothing. */
const AT_ONCE = 4

export interface PullInit {
  readonly connection: HubConnection
  readonly repository: Repository
  /** What is taken of it. */
  readonly choice: Choice
  /** Is there already. */
  readonly folder: string
  readonly signal: AbortSignal
  readonly log: (line: string) => void
  /**
   * @param what `checking` what is there, then `downloading`
   * @param done of `total`, in bytes of all files
   */
  readonly onProgress?: (what: string, done: number, total: number) => void
}

export interface Pulled {
  readonly files: number
  /** In all files. */
  readonly bytes: number
  /** Bytes that came over the network. */
  readonly downloaded: number
}

/**
 * Makes the folder that files are pulled into.
 *
 * @throws {InvalidOptionError} if it cannot be made, or written
 */
export async function makeFolder (folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
    await access(folder, constants.W_OK)
  } catch (cause) {
    throw new InvalidOptionError(`${folder} is not a folder that can be written (${(cause as NodeJS.ErrnoException).code}); choose another one`, { cause })
  }
}

/**
 * Brings what we use of a repository into a folder. Files that are there, whole, stay; others are replaced.
 *
 * @throws {InvalidModelError} if its index names shards that it lacks
 * @throws {InvalidOptionError} if the folder holds weights of another model beside those
 * @throws {DownloadError} if something cannot be had
 */
export async function pullFiles (init: PullInit): Promise<Pulled> {
  const { repository, choice: { files, index }, folder } = init
  await refuseOtherWeights(init)
  const received = index === undefined ? 0 : await pullAll([index], { ...init, onProgress: () => {} })
  const shards = index === undefined ? [] : shardsOf(await readFile(join(folder, index.name), 'utf8'), repository)
  const all = [...files, ...shards]
  return { files: all.length, bytes: sizeOf(all), downloaded: received + await pullAll(all, init) }
}

/** @returns bytes that came over the network */
async function pullAll (files: readonly RemoteFile[], init: PullInit): Promise<number> {
  const missing = await missingFiles(files, init)
  if (missing.length === 0) return 0
  const { folder, onProgress } = init
  const [total, there] = [sizeOf(files), new Map<RemoteFile, number>()]
  const whole = total - sizeOf(missing)
  for (const file of missing) there.set(file, await partialSize(file, folder))
  await warnOfRoom(sizeOf(missing) - sum(there.values()), init)
  let downloaded = 0
  onProgress?.('downloading', whole + sum(there.values()), total)
  await forEachAtOnce(missing, init.signal, async (file, signal) => {
    await downloadFile(file, {
      ...init,
      signal,
      onProgress: (size, received) => {
        downloaded += received
        there.set(file, size)
        onProgress?.('downloading', whole + sum(there.values()), total)
      }
    })
  })
  return downloaded
}

/** Those that are not there with the right bytes. */
async function missingFiles (files: readonly RemoteFile[], { folder, signal, onProgress }: PullInit): Promise<RemoteFile[]> {
  const missing: RemoteFile[] = []
  let done = 0
  for (const file of files) {
    const whole = await isWhole(file, folder, signal, count => {
      done += count
      onProgress?.('checking', done, sizeOf(files))
    })
    if (!whole) missing.push(file)
  }
  return missing
}

/** A few at once; the first that fails ends the others. */
async function forEachAtOnce (files: readonly RemoteFile[], signal: AbortSignal, work: (file: RemoteFile, signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController()
  const end = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', end)
  const queue = files.values()
  const worker = async (): Promise<void> => {
    try {
      for (const file of queue) {
        controller.signal.throwIfAborted()
        await work(file, controller.signal)
      }
    } catch (error) {
      controller.abort(error)
    }
  }
  try {
    signal.throwIfAborted()
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    controller.signal.throwIfAborted()
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** A folder whose weights are said twice is loaded from whichever a program looks at first. */
async function refuseOtherWeights ({ repository: { name }, choice: { files }, folder }: PullInit): Promise<void> {
  if (!files.some(file => WEIGHT_FILES.includes(file.name))) return
  for (const other of WEIGHT_FILES.filter(one => files.every(file => file.name !== one))) {
    const present = await access(join(folder, other)).then(() => true, () => false)
    if (present) throw new InvalidOptionError(`${folder} holds ${other}, which is not of ${name} as it is pulled, and would be loaded in its place; remove it, or choose another folder`)
  }
}

/** Only told, because some file systems do not know their room. */
async function warnOfRoom (needed: number, { folder, log }: PullInit): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (needed > bavail * bsize) log(`${folder} seems to have room for ${bavail * bsize} bytes, and ${needed} are missing`)
}

function sizeOf (files: readonly RemoteFile[]): number {
  return sum(files.map(({ size }) => size))
}

function sum (values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
