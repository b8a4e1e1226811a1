import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidOptionError } from '../../../src/errors.js'
import { randomWeights } from '../../../src/model/random-weights.js'
import { encodeSafetensors } from '../../../src/tensor/safetensors.js'
import { KINDS, NOISE } from '../../glyphs/draw.js'
import { drawGlyphs } from '../../glyphs/draw-set.js'
import { compare } from '../compare.js'
import { comparison } from '../comparison.js'
import { definePart, type PartContext } from '../part.js'
import { SETTINGS_OPTIONS, settingsOf } from '../settings-options.js'
import type { Settings, Task } from '../task.js'
import { ONE_USER, oneUserClaims, READING } from './methods.js'

/** By name, what beside the size of images is in their `config.json`. */
const CLASSIFIERS = {
  linear: { model_type: 'linear-classifier' },
  mlp: { model_type: 'mlp-classifier', hidden_sizes: [64, 64] },
  cnn: { model_type: 'cnn-classifier', conv_channels: [8, 16] }
}

const COMMON = {
  length: undefined,
  rank: 8,
  optimizer: 'adamw',
  schedule: 'cosine',
  interval: 1,
  sites: ['.*'],
  heldOut: 0.25,
  rates: { 'low-rank': 1e-2, mlp: 1e-3, full: 3e-3 }
} as const

const SETTINGS: Readonly<Record<'quick' | 'full', Settings>> = {
  quick: { ...COMMON, steps: 40, batchSize: 16, heldOutRows: 300 },
  full: { ...COMMON, steps: 1000, batchSize: 64, heldOutRows: 2000 }
}

/** Glyphs of each class. */
const PER_CLASS = { quick: 120, full: 800 }

export const scratch = definePart({
  name: 'scratch',
  describe: 'image classification where the base model stays at its random start: a linear classifier, a perceptron and a convolutional network',
  options: {
    data: { type: 'string', describe: 'folder of images, a folder a class, in place of glyphs that are drawn' },
    imageSize: { type: 'integer', min: 8, default: 16, describe: 'height and width that images have or are brought to, in pixels' },
    channels: { type: 'integer', min: 1, max: 3, default: 1, describe: 'colours of an image: 1 for grey, 3' },
    classifiers: { type: 'list', default: Object.keys(CLASSIFIERS), describe: `base models, of ${Object.keys(CLASSIFIERS).join(', ')}` },
    ...SETTINGS_OPTIONS
  },
  run: async (options, context) => {
    const size = options.quick ? 'quick' : 'full'
    const data = options.data ?? await glyphs(options.imageSize, PER_CLASS[size], context)
    const settings = settingsOf(options, SETTINGS[size])
    const tasks = await Promise.all(options.classifiers.map(async (name): Promise<Task> => ({
      name, model: await randomModel(name, { ...options, data }, context), users: [{ name: 'all', data: [data] }], settings
    })))
    const rows = await compare(tasks, ONE_USER, options, context)
    return comparison('scratch', {
      title: 'From scratch: image classification',
      tasks,
      methods: ONE_USER,
      rows,
      claims: oneUserClaims(rows),
      notes: [READING, 'The base model stays as it began, at random; full fine-tuning moves it. Of all methods with a seed the start is the same.']
    })
  }
})

async function glyphs (size: number, perClass: number, { folder, log }: PartContext): Promise<string> {
  const out = join(folder, 'glyphs')
  log(`drawing ${KINDS * perClass} glyphs`)
  await drawGlyphs({ out, size, perClass, testPerClass: 1, noise: NOISE, seed: 0 }, () => {})
  return join(out, 'train')
}

interface ImageOptions {
  readonly data: string
  readonly imageSize: number
  readonly channels: number
  readonly seed: number
}

/** @throws {InvalidModelError} if the images are too small for it */
async function randomModel (name: string, { data, imageSize, channels, seed }: ImageOptions, { folder }: PartContext): Promise<string> {
  const classes = (await readdir(data, { withFileTypes: true })).filter(entry => entry.isDirectory()).map(entry => entry.name).sort()
  const config = {
    ...classifierNamed(name),
    num_channels: channels,
    image_size: imageSize,
    id2label: Object.fromEntries(classes.map((label, i) => [i, label]))
  }
  const model = join(folder, `${name}-classifier`)
  await mkdir(model)
  await writeFile(join(model, 'config.json'), JSON.stringify(config))
  await writeFile(join(model, 'model.safetensors'), encodeSafetensors(randomWeights(config, join(model, 'config.json'), seed)))
  return model
}

/** @throws {InvalidOptionError} if there is none */
function classifierNamed (name: string): object {
  const found = Object.entries(CLASSIFIERS).find(([own]) => own === name)
  if (found === undefined) throw new InvalidOptionError(`--classifiers ${name} is not known; use some of ${Object.keys(CLASSIFIERS).join(', ')}`)
  return found[1]
}
