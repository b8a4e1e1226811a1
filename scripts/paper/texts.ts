import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PACKAGE_ROOT } from '../../src/cli/package-root.js'
import { findModules, gatherTexts } from '../../src/cli/simulate/texts.js'
import type { PartContext } from './part.js'
import type { Settings, User } from './task.js'

/** What is taken of a kind of text, in characters: more than a run of these settings reads. */
const LENGTH = { quick: 60_000, full: 400_000 }

const COMMON = {
  rank: 8,
  optimizer: 'adamw',
  schedule: 'linear',
  interval: 1,
  sites: ['c_attn'],
  heldOut: 0.2,
  rates: { 'low-rank': 4e-3, mlp: 1e-3, full: 1e-3 }
} as const

/** For the embedded model and text of some kind. */
export const TEXT_SETTINGS: Readonly<Record<'quick' | 'full', Settings>> = {
  quick: { ...COMMON, steps: 24, batchSize: 4, length: 64, heldOutRows: 32 },
  full: { ...COMMON, steps: 300, batchSize: 8, length: 128, heldOutRows: 256 }
}

/** Kinds of text that any installation brings, each of which is one user's. */
export async function textUsers (count: number, size: 'quick' | 'full', { folder, signal, log }: PartContext): Promise<User[]> {
  log('gathering text of node_modules')
  const texts = await gatherTexts(findModules(PACKAGE_ROOT), count, signal)
  return await Promise.all(texts.map(async ({ name, text }) => {
    const path = join(folder, `${name}.txt`)
    await writeFile(path, text.slice(0, LENGTH[size]))
    return { name, data: [path] }
  }))
}
