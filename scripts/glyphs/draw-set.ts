import { createHash } from 'node:crypto'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { InvalidOptionError } from '../../src/errors.js'
import { uniform } from '../bench/uniform.js'
import { drawGlyph, KINDS } from './draw.js'

/** Images that are drawn before they are written together. */
const AT_ONCE = 250

export interface GlyphSet {
  /** A folder, in which train/ and test/ are made. */
  readonly out: string
  /** Height and width of an image, in pixels. */
  readonly size: number
  /** Images of each class in train/. */
  readonly perClass: number
  /** Images of each class in test/. */
  readonly testPerClass: number
  /** See `NOISE`. */
  readonly noise: number
  /** The same seed draws the same images; more of them begin with the same. */
  readonly seed: number
}

interface Glyph {
  readonly part: string
  readonly kind: number
  readonly index: number
}

/**
 * Draws images of the ten digits, each in the folder of its class.
 *
 * @param onProgress how many of how many are drawn
 * @throws {InvalidOptionError} rather than draw into a folder that is there
 */
export async function drawGlyphs ({ out, size, perClass, testPerClass, noise, seed }: GlyphSet, onProgress: (done: number, total: number) => void): Promise<void> {
  const parts = { train: perClass, test: testPerClass }
  for (const part of Object.keys(parts)) await refuseExisting(join(out, part))
  const kinds = Array.from({ length: KINDS }, (_, kind) => kind)
  const glyphs = Object.entries(parts).flatMap(([part, count]) =>
    kinds.flatMap(kind => Array.from({ length: count }, (_, index): Glyph => ({ part, kind, index }))))
  for (const part of Object.keys(parts)) {
    for (const kind of kinds) await mkdir(join(out, part, String(kind)), { recursive: true })
  }
  const digits = Math.max(3, String(Math.max(perClass, testPerClass) - 1).length)
  for (let begin = 0; begin < glyphs.length; begin += AT_ONCE) {
    await Promise.all(glyphs.slice(begin, begin + AT_ONCE).map(async ({ part, kind, index }) => {
      const pixels = drawGlyph(kind, size, randomFor(`${seed}:${part}:${kind}:${index}`), noise)
      const path = join(out, part, String(kind), `${String(index).padStart(digits, '0')}.png`)
      await sharp(pixels, { raw: { width: size, height: size, channels: 1 } }).toColourspace('b-w').png().toFile(path)
    }))
    onProgress(Math.min(begin + AT_ONCE, glyphs.length), glyphs.length)
  }
}

async function refuseExisting (path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found !== undefined) throw new InvalidOptionError(`${path} is there already; delete it, or give another --out`)
}

/** Numbers in [0, 1) that the key decides. */
function randomFor (key: string): () => number {
  const random = uniform(createHash('sha256').update(key).digest().readInt32LE())
  return () => (random() + 1) / 2
}
