import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { InvalidDataError } from '../../errors.js'

/** What a kind of text has at most, in bytes: more than a short run reads. */
const MAX_BYTES = 400_000

/** What is taken of one file at most, in bytes, so that no single package makes up a kind. */
const MAX_TEXT_BYTES = 16_000

/** With less than this there is too little to hold something out of, in bytes. */
const MIN_BYTES = 8_000

interface Kind {
  /** Of a file, in lower case. */
  readonly matches: (name: string) => boolean
  /** What of the file is wanted. @default all of it */
  readonly extract?: (text: string) => string
}

/**
 * In the order in which trainers get them: first those of which the embedded model has seen least, so that a short run
 * lowers their losses, alone and in collaboration.
 */
const KINDS: Readonly<Record<string, Kind>> = {
  licences: { matches: name => /^(licen[cs]e|copying)([.-][\w.-]*)?$/.test(name) && !/\.[cm]?[jt]s$/.test(name) },
  descriptions: { matches: name => name === 'package.json', extract: description },
  minified: { matches: name => name.endsWith('.min.js') },
  readmes: { matches: name => /^readme(\.md|\.markdown|\.txt)?$/.test(name) },
  workflows: { matches: name => /\.ya?ml$/.test(name) },
  declarations: { matches: name => /\.d\.[cm]?ts$/.test(name) },
  changelogs: { matches: name => /^(changelog|changes|history)(\.md|\.markdown|\.txt)?$/.test(name) },
  typescript: { matches: name => name.endsWith('.ts') && !name.endsWith('.d.ts') }
}

export const KIND_NAMES: readonly string[] = Object.keys(KINDS)

export interface Text {
  /** The kind, which names the trainer that has it. */
  readonly name: string
  readonly text: string
}

/**
 * Different kinds of text that any installation brings with it: the same text for the same packages.
 *
 * @param modules a node_modules folder
 * @param count of kinds
 * @throws {InvalidDataError} if there is too little of a kind
 */
export async function gatherTexts (modules: string, count: number, signal?: AbortSignal): Promise<Text[]> {
  const files = await filesOf(modules)
  const seen = new Set<string>()
  const texts: Text[] = []
  for (const [name, kind] of Object.entries(KINDS).slice(0, count)) {
    const parts: string[] = []
    let bytes = 0
    for (const path of files.filter(path => kind.matches(nameOf(path)))) {
      signal?.throwIfAborted()
      const text = await readOnce(join(modules, path), kind, seen)
      bytes += Buffer.byteLength(text)
      if (bytes > MAX_BYTES) break
      if (text !== '') parts.push(text)
    }
    const text = parts.join('\n')
    if (Buffer.byteLength(text) < MIN_BYTES) {
      throw new InvalidDataError(`${modules} has ${Buffer.byteLength(text)} bytes of ${name}, ${MIN_BYTES} are needed; use fewer trainers`)
    }
    texts.push({ name, text })
  }
  return texts
}

/**
 * The node_modules folder that a package was installed into, or else that of its clone.
 *
 * @throws {InvalidDataError} if there is none
 */
export function findModules (packageRoot: string): string {
  const segments = packageRoot.split(sep)
  const inside = segments.lastIndexOf('node_modules')
  if (inside !== -1) return segments.slice(0, inside + 1).join(sep)
  for (let folder = packageRoot; ; folder = dirname(folder)) {
    const modules = join(folder, 'node_modules')
    if (existsSync(modules)) return modules
    if (dirname(folder) === folder) throw new InvalidDataError(`there is no node_modules in ${packageRoot}, or above it, to take text from; run npm ci`)
  }
}

/** Paths relative to the folder, in an order that depends on nothing but them. Links are not followed. */
async function filesOf (modules: string): Promise<string[]> {
  const entries = await readdir(modules, { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(entry => relative(modules, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort((a, b) => a < b ? -1 : 1)
}

function nameOf (path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).toLowerCase()
}

/** The text, ended by a newline; empty where there is none, or it was there before. */
async function readOnce (path: string, { extract = text => text }: Kind, seen: Set<string>): Promise<string> {
  const bytes = await readFile(path)
  if (!isUtf8(bytes)) return ''
  const text = cut(extract(bytes.toString().replaceAll('\r\n', '\n'))).trim()
  const digest = createHash('sha256').update(text).digest('hex')
  if (text === '' || seen.has(digest)) return ''
  seen.add(digest)
  return `${text}\n`
}

/** As many whole lines as fit; where not even the first does, a part of it. */
function cut (text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.byteLength <= MAX_TEXT_BYTES) return text
  const end = bytes.lastIndexOf('\n', MAX_TEXT_BYTES)
  if (end > 0) return bytes.subarray(0, end).toString()
  return bytes.subarray(0, MAX_TEXT_BYTES).toString().replace(/\ufffd+$/, '')
}

/** What a package says of itself, out of its package.json. */
function description (json: string): string {
  try {
    const { name, description, keywords } = JSON.parse(json) as Record<string, unknown>
    if (typeof name !== 'string' || typeof description !== 'string') return ''
    return `${name}\n${description}\n${Array.isArray(keywords) ? keywords.join(', ') : ''}`
  } catch {
    return '' // tests of packages have broken ones on purpose
  }
}
