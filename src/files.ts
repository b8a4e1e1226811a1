import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

/**
 * Writes a file whole or not at all: first beside its place, then renamed into it. Folders above it are made.
 *
 * @param mode permissions of the file
 */
export async function replaceFile (path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const partial = beside(path)
  await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(partial, content, { mode, flush: true })
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

/** Writes a folder of files whole or not at all; what lay there before is gone afterwards. */
export async function replaceFolder (path: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  await replaceFolderBy(path, async partial => {
    for (const [name, content] of Object.entries(files)) await replaceFile(join(partial, name), content)
  })
}

/**
 * The same where files are too large to be in memory as a whole.
 *
 * @param fill writes what shall be in it into an empty folder
 */
export async function replaceFolderBy (path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const partial = beside(path)
  const former = beside(path)
  try {
    await mkdir(partial, { recursive: true })
    await fill(partial)
    await rename(path, former).catch(ignoreMissing)
    await rename(partial, path)
    await rm(former, { recursive: true, force: true })
  } catch (error) {
    await rename(former, path).catch(() => undefined) // it was not moved away, or its place is taken
    await rm(partial, { recursive: true, force: true })
    throw error
  }
}

/** A name of its own in the same folder, so that renaming never crosses a file system. */
function beside (path: string): string {
  return `${resolve(path)}.${randomBytes(4).toString('hex')}.partial`
}

function ignoreMissing (error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
