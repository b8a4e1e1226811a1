import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The folder of package.json, seen from src as from dist. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..', '..')

export function packageVersion (): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }
  return version
}

/** The folder of the base model that comes with colanet. */
export const EMBEDDED_MODEL = join(PACKAGE_ROOT, 'models', 'tiny')
