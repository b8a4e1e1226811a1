import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { InvalidDataError } from '../../errors.js'

/**
 * What an image is told apart by when some are held out: the same bytes are the same image, whatever they are called.
 *
 * @returns sha-256
 * @throws {InvalidDataError} naming the file, if it cannot be read
 */
export async function hashOfFile (path: string): Promise<Buffer> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash).catch((cause: unknown) => {
    throw new InvalidDataError(`${path}: cannot be read (${(cause as Error).message})`, { cause })
  })
  return hash.digest()
}
