import { createHash } from 'node:crypto'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { exitCodeOf } from '../src/cli/exit.js'
import { checkOptions, flag, kebab, type Options, outline, type Values } from '../src/cli/options.js'
import { InvalidOptionError } from '../src/errors.js'
import { uniform } from './bench/uniform.js'
import { drawGlyph, KINDS, NOISE } from './glyphs/draw.js'

/** `npm run glyphs -- --out DIR`: draws a set of images of the ten digits, each in the folder of its class. */

const OPTIONS = {
  out: { type: 'string', required: true, describe: 'folder to draw into; train/ and test/ must not be there yet' },
  size: { type: 'integer', min: 8, max: 1024, default: 16, describe: 'height and width of an image, in pixels' },
  perClass: { type: 'integer', min: 1, default: 200, describe: 'images of each class in train/' },
  testPerClass: { type: 'integer', min: 1, default: 50, describe: 'images of each class in test/' },
  noise: { type: 'number', min: 0, max: 1, default: NOISE, describe: 'standard deviation of what is added to each pixel, as a part of the whole range' },
  seed: { type: 'integer', min: 0, default: 0, describe: 'the same seed draws the same images; more of them begin with the same' }
} as const satisfies Options

/** Images that are drawn before they are written together. */
const AT_ONCE = 250

interface Glyph {
  readonly part: string
  readonly kind: number
  readonly index: number
}

function help (): string {
  return [
    'npm run glyphs -- --out DIR [options]', '',
    'Draws DIR/train/CLASS/NNN.png and DIR/test/CLASS/NNN.png, grey, of the ten digits.', '',
    ...Object.entries<Options[string]>(OPTIONS).map(([name, option]) => `  ${flag(name).padEnd(16)}  ${option.describe}${outline(option)}${'default' in option ? ` (default: ${String(option.default)})` : ''}`), ''
  ].join('\n')
}

/** By name in camel case. @throws {InvalidOptionError} */
function typedOptions (args: readonly string[]): Record<string, unknown> {
  const names = Object.keys(OPTIONS)
  try {
    const { values } = parseArgs({ args: [...args], options: Object.fromEntries(names.map(name => [kebab(name), { type: 'string', multiple: true }])) })
    return Object.fromEntries(names.map(name => [name, values[kebab(name)]]))
  } catch (cause) {
    throw new InvalidOptionError((cause as Error).message, { cause })
  }
}

async function drawAll ({ out, size, perClass, testPerClass, noise, seed }: Values<typeof OPTIONS>): Promise<void> {
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
    process.stderr.write(`${Math.min(begin + AT_ONCE, glyphs.length)} of ${glyphs.length}\n`)
  }
  process.stdout.write(`${out}: ${KINDS * perClass} images to train on and ${KINDS * testPerClass} to test with, of ${KINDS} classes, ${size} by ${size} pixels\n`)
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

const args = process.argv.slice(2)
try {
  if (args.length === 0 || args.includes('--help')) {
    process.stdout.write(help())
  } else {
    await drawAll(checkOptions(OPTIONS, typedOptions(args)))
  }
} catch (error) {
  process.stderr.write(`glyphs: ${(error as Error).name}: ${(error as Error).message}\n`)
  process.exitCode = exitCodeOf(error)
}
