import { setImmediate as turn } from 'node:timers/promises'
import { batchOf } from '../../tensor/batch.js'
import type { FloatTensor } from '../../types.js'
import { limitFor, placeOfHash } from '../held-out.js'
import { labelOf, labelTensor } from '../labels.js'
import { checkShare, type Dataset, type LoadOptions } from '../load.js'
import type { RowSet } from '../row-set.js'
import { hashOfFile } from './content-hash.js'
import { readImageFolder } from './image-folder.js'
import type { ImageProcessor } from './image-processor.js'
import { readPixels } from './pixels.js'

export interface ImageOptions extends Omit<LoadOptions, 'task'> {
  readonly processor: ImageProcessor
  /** Names of the model's classes: the folders are called so, or by their indices. */
  readonly labels: readonly string[]
}

interface Image {
  readonly path: string
  readonly label: number
  readonly hash: Buffer
  readonly place: number
}

/**
 * Images from folders by class. They are decoded when a batch is made of them, so that no more are in memory than it has.
 *
 * @throws {InvalidDataError} if a folder cannot be read, or is called by none of the model's classes
 * @throws {InvalidOptionError} if the held-out share is not possible
 */
export async function loadImages ({ paths, heldOutShare = 0.1, processor, labels, onProgress, signal }: ImageOptions): Promise<Dataset> {
  checkShare(heldOutShare)
  const files = (await readImageFolder(paths)).map(({ path, label }) => ({ path, label: labelOf(label, labels, path) }))
  const images: Image[] = []
  for (const file of files) {
    signal?.throwIfAborted()
    const hash = await hashOfFile(file.path)
    images.push({ ...file, hash, place: placeOfHash(hash) })
    onProgress?.(images.length, files.length)
  }
  const limit = limitFor(images, heldOutShare)
  const side = (isOurs: (image: Image) => boolean): RowSet => imageRows(images.filter(isOurs), processor, labels)
  return { train: side(({ place }) => place >= limit), heldOut: side(({ place }) => place < limit), truncated: 0, documents: images.length }
}

function imageRows (images: readonly Image[], processor: ImageProcessor, labels: readonly string[]): RowSet {
  const processing = Buffer.from(JSON.stringify(processor))
  return {
    count: images.length,
    lengthOf: () => 0,
    batch: async rows => {
      const pixels: FloatTensor[] = [] // [channels, height, width] each
      for (const row of rows) { // one by one: a photograph takes much memory until it is resized
        pixels.push(await readPixels(images[row].path, processor))
        await turn()
      }
      return batchOf(new Map([['pixel_values', stacked(pixels)], ['labels', labelTensor(rows.map(row => images[row].label), labels)]]))
    },
    contentOf: row => [images[row].hash, Int32Array.of(images[row].label), processing]
  }
}

/** `[rows, channels, height, width]` */
function stacked (rows: readonly FloatTensor[]): FloatTensor {
  const [{ shape, values: { length } }] = rows
  const values = new Float32Array(rows.length * length)
  for (const [i, row] of rows.entries()) values.set(row.values, i * length)
  return { shape: [rows.length, ...shape], values }
}
