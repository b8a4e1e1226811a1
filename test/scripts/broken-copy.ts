import { expect } from 'chai'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export const ROOT = join(import.meta.dirname, '..', '..')

/** What is run in a copy covers nothing. */
export const COPY_ENV: NodeJS.ProcessEnv = { ...process.env, NODE_V8_COVERAGE: '' }

/** Copies files and folders of the project to another folder, in which they run. */
export async function copySources (sources: readonly string[], folder: string): Promise<void> {
  for (const source of sources) {
    await mkdir(dirname(join(folder, source)), { recursive: true })
    await cp(join(ROOT, source), join(folder, source), { recursive: true })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
}

/** @param code stands in the file once, else the test fails */
export async function replaceOnce (folder: string, file: string, code: string, broken: string): Promise<void> {
  const parts = (await readFile(join(folder, file), 'utf8')).split(code)
  expect(parts, `${file} has \`${code}\` once`).to.have.lengthOf(2)
  await writeFile(join(folder, file), parts.join(broken))
}
