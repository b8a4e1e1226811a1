import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { InvalidDataError } from '../../errors.js'

const EXTENSIONS = new Set(['.png', '.jpg', '.jpeg'])
const ACCEPTED = 'a folder is expected whose subfolders are the classes, each with .png, .jpg or .jpeg files'

/** Parts that a set of images comes in, under the names that they have elsewhere. */
const PARTS = new Set(['train', 'training', 'test', 'testing', 'val', 'valid', 'validation', 'dev', 'eval'])

/** An image, and the class that it is of. */
export interface LabelledImage {
  readonly path: string
  readonly label: string
}

interface Entry {
  readonly name: string
  readonly path: string
  readonly isFolder: boolean
}

/**
 * Lists folders of images by class, as torchvision's `ImageFolder` and Hugging Face's `imagefolder` have them:
 * `FOLDER/CLASS/…/NAME.png`. Hidden files and files with other extensions are passed over, links are followed.
 *
 * @returns folder after folder, each in the order of classes, then of names, by code unit
 * @throws {InvalidDataError} naming the folder, if it is not there, has no classes, or one of them no images
 */
export async function readImageFolder (paths: readonly string[]): Promise<LabelledImage[]> {
  if (paths.length === 0) throw new InvalidDataError(`no folder of images was named; ${ACCEPTED}`)
  const found: LabelledImage[] = []
  for (const path of paths) {
    for (const folder of await classesIn(path)) found.push(...await imagesOf(folder))
  }
  return found
}

async function classesIn (path: string): Promise<Entry[]> {
  const entries = await entriesOf(path)
  const classes = entries.filter(({ isFolder }) => isFolder)
  const loose = entries.filter(isImage)
  if (classes.length === 0) throw new InvalidDataError(`${path}: no subfolders, and ${loose.length} images; ${ACCEPTED}`)
  if (loose.length > 0) throw new InvalidDataError(`${path}: ${loose[0].name}${loose.length > 1 ? ` and ${loose.length - 1} more images lie` : ' lies'} beside the classes ${shown(classes)}; move them into the folder of their class`)
  if (classes.every(({ name }) => PARTS.has(name.toLowerCase()))) {
    throw new InvalidDataError(`${path}: ${shown(classes)} ${classes.length > 1 ? 'are parts' : 'is a part'} of a set of images and no class; name one, such as ${classes[0].path}`)
  }
  return classes
}

async function imagesOf ({ name: label, path }: Entry): Promise<LabelledImage[]> {
  const files = await filesBelow(path)
  const images = files.filter(isImage)
  if (images.length > 0) return images.map(({ path }) => ({ path, label }))
  throw new InvalidDataError(`${path}: no images in this class, and ${files.length} other files${files.length > 0 ? `, such as ${files[0].name}` : ''}; ${ACCEPTED}`)
}

async function filesBelow (folder: string): Promise<Entry[]> {
  const found: Entry[] = []
  for (const entry of await entriesOf(folder)) {
    if (entry.isFolder) {
      found.push(...await filesBelow(entry.path))
    } else {
      found.push(entry)
    }
  }
  return found
}

/** Files and folders that are not hidden, by name. */
async function entriesOf (folder: string): Promise<Entry[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(refuse(folder))
  const visible = entries.filter(entry => !entry.name.startsWith('.') && isOrdinary(entry)).sort((a, b) => a.name < b.name ? -1 : 1)
  return await Promise.all(visible.map(async entry => {
    const path = join(folder, entry.name)
    return { name: entry.name, path, isFolder: await isFolder(entry, path) }
  }))
}

/** Reading from a pipe, a socket or a device may never end. */
function isOrdinary (entry: Dirent): boolean {
  return entry.isFile() || entry.isDirectory() || entry.isSymbolicLink()
}

async function isFolder (entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory()
  return (await stat(path).catch(refuse(path))).isDirectory()
}

function isImage ({ name, isFolder }: Entry): boolean {
  return !isFolder && EXTENSIONS.has(extname(name).toLowerCase())
}

function shown (entries: readonly Entry[]): string {
  const names = entries.slice(0, 5).map(({ name }) => name)
  return `${names.join(', ')}${entries.length > names.length ? ', …' : ''}`
}

function refuse (path: string): (cause: unknown) => never {
  return cause => {
    throw new InvalidDataError(`${path}: cannot be read (${(cause as Error).message}); ${ACCEPTED}`, { cause })
  }
}
