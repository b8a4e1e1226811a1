import { join } from 'node:path'

/** The folder of package.json, seen from src as from dist. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..', '..')

/** The folder of the base model that comes with colanet. */
export const EMBEDDED_MODEL = join(PACKAGE_ROOT, 'models', 'tiny')
