import { readFile } from 'node:fs/promises'
import { InvalidModelError, InvalidOptionError } from '../errors.js'
import { replaceFolder } from '../files.js'
import { randomWeights } from '../model/random-weights.js'
import { encodeSafetensors } from '../tensor/safetensors.js'
import { defineCommand } from './command.js'
import { checkEmpty } from './empty-folder.js'

/** Makes a model to train from the start. */
export const init = defineCommand({
  command: 'init',
  describe: 'Makes a model folder with random weights, to be trained from the start',
  options: {
    config: { type: 'string', required: true, describe: 'the model\'s config.json, or what would stand in it' },
    out: { type: 'string', required: true, describe: 'where the model goes: a folder that is empty or not there yet' },
    seed: { type: 'integer', min: 0, max: 2 ** 32 - 1, default: 0, describe: 'decides all weights' }
  },
  examples: [
    ['init --config \'{"model_type": "mlp-classifier", "num_channels": 1, "image_size": 28, "num_labels": 10, "hidden_sizes": [128]}\' --out models/mlp', 'a perceptron for ten classes of small grey images'],
    ['init --config ~/models/gpt2/config.json --out models/fresh --seed 1', 'as a model that you have, before it was trained']
  ],
  handler: async ({ config, out: folder, seed }, { report }) => {
    const { text, path } = await configText(config)
    const tensors = randomWeights(parsed(text, path), path, seed)
    await checkEmpty(folder)
    await replaceFolder(folder, {
      'config.json': text.endsWith('\n') ? text : `${text}\n`,
      'model.safetensors': encodeSafetensors(tensors, { metadata: { format: 'pt' } })
    })
    const parameters = [...tensors.values()].reduce((sum, { values }) => sum + values.length, 0)
    await report({ folder, seed, parameters }, `${folder} has ${parameters} random parameters\nnext: colanet host --model ${folder}`)
  }
})

/** What was typed if it is an object, else what stands in the file of that name. */
async function configText (config: string): Promise<{ readonly text: string, readonly path: string }> {
  if (config.trimStart().startsWith('{')) return { text: config, path: '--config' }
  try {
    return { text: await readFile(config, 'utf8'), path: config }
  } catch (cause) {
    throw new InvalidOptionError(`--config ${config} cannot be read; give a file such as config.json, or its text, {"model_type": ...}`, { cause })
  }
}

function parsed (text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new InvalidModelError(`${path} is not JSON: ${(cause as Error).message}`, { cause })
  }
}
