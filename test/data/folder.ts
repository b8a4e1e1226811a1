import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A folder with these files, which is gone after the test. */
export async function withFolder (files: Readonly<Record<string, string | Uint8Array>>, test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'colanet-data-'))
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFile(join(folder, name), content)
    }
    await test(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What a promise was rejected with; undefined if it was not. */
export async function rejection (promise: Promise<unknown>): Promise<Error | undefined> {
  return await promise.then(() => undefined, (error: unknown) => error as Error)
}
