import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EMBEDDED_MODEL } from '../../src/cli/package-root.js'
import { Gpt2, gpt2Config } from '../../src/model/networks/gpt2.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { FloatTensor } from '../../src/types.js'
import { uniform } from './uniform.js'

/** GPT-2's own standard deviation of weights at the start; a uniform variable of the same one is ±√3 times it. */
const DEVIATION = 0.02
const BOUND = DEVIATION * Math.sqrt(3)

const SEED = 1

/** What PyTorch needs to know too. Without dropout, whose random numbers would be work that we do not do. */
const CONFIG = {
  architectures: ['GPT2LMHeadModel'], model_type: 'gpt2', vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, attn_pdrop: 0, embd_pdrop: 0, resid_pdrop: 0
}

/**
 * The folder that was asked for, or else GPT-2 small with random float32 weights, the same for all, made in `folder`. Its
 * tokenizer is the embedded model's, whose tokens are among GPT-2's.
 */
export async function modelFolder (asked: string | undefined, folder: string, log: (line: string) => void): Promise<string> {
  if (asked !== undefined) return asked
  const model = join(folder, 'gpt2-small')
  log('making GPT-2 small with random weights')
  await mkdir(model)
  await writeFile(join(model, 'config.json'), JSON.stringify(CONFIG))
  await writeFile(join(model, 'model.safetensors'), encodeSafetensors(randomWeights(), { metadata: { format: 'pt' } }))
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(EMBEDDED_MODEL, name), join(model, name))
  return model
}

function randomWeights (): Map<string, FloatTensor> {
  const { weights } = new Gpt2(gpt2Config.parse(CONFIG))
  const random = uniform(SEED)
  return new Map([...weights].map(([name, shape]) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    const isMatrix = shape.length > 1
    if (isMatrix) for (let i = 0; i < values.length; i++) values[i] = BOUND * random()
    else if (name.endsWith('.weight')) values.fill(1) // of a norm
    return [name, { shape, values }]
  }))
}
