import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** An empty folder for each test of the suite that asks for it, which is gone afterwards. */
export function temporaryFolder (): () => string {
  let folder: string
  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'colanet-test-')) })
  afterEach(async () => { await rm(folder, { recursive: true, force: true }) })
  return () => folder
}
