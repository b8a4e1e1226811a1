import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const { version, engines } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string, engines: { node: string } }

/** Of this package. */
export const VERSION = version

/** The versions of Node.js that it runs on, as package.json says them. */
export const NODE_VERSIONS = engines.node
