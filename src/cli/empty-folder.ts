import { readdir } from 'node:fs/promises'
import { InvalidOptionError } from '../errors.js'

/** @throws {InvalidOptionError} rather than let anything be replaced */
export async function checkEmpty (folder: string): Promise<void> {
  const files = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  })
  if (files.length > 0) throw new InvalidOptionError(`--out ${folder} is not empty; choose a folder that is, or that is not there yet`)
}
