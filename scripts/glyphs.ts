import { exitCodeOf } from '../src/cli/exit.js'
import { checkOptions, type Options } from '../src/cli/options.js'
import { KINDS, NOISE } from './glyphs/draw.js'
import { drawGlyphs } from './glyphs/draw-set.js'
import { optionLines, typedOptions } from './options.js'

/** `npm run glyphs -- --out DIR`: draws a set of images of the ten digits, each in the folder of its class. */

const OPTIONS = {
  out: { type: 'string', required: true, describe: 'folder to draw into; train/ and test/ must not be there yet' },
  size: { type: 'integer', min: 8, max: 1024, default: 16, describe: 'height and width of an image, in pixels' },
  perClass: { type: 'integer', min: 1, default: 200, describe: 'images of each class in train/' },
  testPerClass: { type: 'integer', min: 1, default: 50, describe: 'images of each class in test/' },
  noise: { type: 'number', min: 0, max: 1, default: NOISE, describe: 'standard deviation of what is added to each pixel, as a part of the whole range' },
  seed: { type: 'integer', min: 0, default: 0, describe: 'the same seed draws the same images; more of them begin with the same' }
} as const satisfies Options

function help (): string {
  return [
    'npm run glyphs -- --out DIR [options]', '',
    'Draws DIR/train/CLASS/NNN.png and DIR/test/CLASS/NNN.png, grey, of the ten digits.', '',
    ...optionLines(OPTIONS, 16).map(line => `  ${line}`), ''
  ].join('\n')
}

const args = process.argv.slice(2)
try {
  if (args.length === 0 || args.includes('--help')) {
    process.stdout.write(help())
  } else {
    const set = checkOptions(OPTIONS, typedOptions(args, OPTIONS))
    await drawGlyphs(set, (done, total) => process.stderr.write(`${done} of ${total}\n`))
    const { out, size, perClass, testPerClass } = set
    process.stdout.write(`${out}: ${KINDS * perClass} images to train on and ${KINDS * testPerClass} to test with, of ${KINDS} classes, ${size} by ${size} pixels\n`)
  }
} catch (error) {
  process.stderr.write(`glyphs: ${(error as Error).name}: ${(error as Error).message}\n`)
  process.exitCode = exitCodeOf(error)
}
