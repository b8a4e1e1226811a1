import { z } from 'zod'
import { InvalidModelError } from '../errors.js'
import { randomNumbers } from '../tensor/random-numbers.js'
import type { FloatTensor, NamedTensors } from '../types.js'
import type { Network } from './network.js'
import { networkOf } from './networks/registry.js'

/** How one weight begins: what its values are drawn from, in turn. */
type Start = (name: string, shape: readonly number[], next: () => number) => () => number

/** Types that begin as PyTorch's own layers do. */
const OURS = ['cnn-classifier', 'linear-classifier', 'mlp-classifier']

/** Types that begin as most of transformers' models do. */
const TRANSFORMERS = ['bert', 'gpt2', 'llama', 'mistral', 'qwen2', 'qwen3', 'roberta', 'vit']

const startConfig = z.looseObject({ model_type: z.string(), initializer_range: z.number().positive().default(0.02) })

/**
 * The weights of a model that was never trained, by the names of its network.
 *
 * @param json a `config.json`
 * @param path of it, for errors
 * @param seed decides every number
 * @throws {InvalidModelError} if it describes no network that we know, or none whose start we know
 */
export function randomWeights (json: unknown, path: string, seed: number): NamedTensors<Float32Array> {
  const { network } = networkOf(json, path)
  const start = startOf(json, path, network)
  return new Map([...network.weights].map(([name, shape]): [string, FloatTensor] => {
    const draw = start(name, shape, randomNumbers(`${seed}:${name}`))
    return [name, { shape, values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, draw) }]
  }))
}

function startOf (json: unknown, path: string, network: Pick<Network, 'info' | 'weights'>): Start {
  const config = startConfig.safeParse(json)
  if (!config.success) throw new InvalidModelError(`${path}: ${z.prettifyError(config.error)}`)
  const { model_type: type, initializer_range: range } = config.data
  if (OURS.includes(type)) return kaimingUniform(network)
  if (TRANSFORMERS.includes(type)) return normal(network, range)
  throw new InvalidModelError(`${path}: no random start is known of ${type}; known are those of ${[...OURS, ...TRANSFORMERS].join(', ')}`)
}

/** PyTorch's `kaiming_uniform_` with a = √5, and its biases: within ±1/√fan_in, where a module's output is a sum of so many inputs. */
function kaimingUniform ({ info: { sites } }: Pick<Network, 'info'>): Start {
  const bounds = new Map(sites.map(({ name, inFeatures }) => [name, 1 / Math.sqrt(inFeatures)]))
  return (name, _, next) => {
    const bound = bounds.get(name.slice(0, name.lastIndexOf('.'))) ?? 0
    return () => bound * (2 * next() - 1)
  }
}

/**
 * transformers' `_init_weights`: biases 0, norms 1, all else normal; in GPT-2 narrower where a residual branch ends. Tokens
 * of padding, which nothing looks at, begin as others do.
 *
 * @param range standard deviation
 */
function normal ({ weights }: Pick<Network, 'weights'>, range: number): Start {
  const endsBranch = (name: string): boolean => name.endsWith('.c_proj.weight')
  const branches = [...weights.keys()].filter(endsBranch).length
  return (name, { length: axes }, next) => {
    if (name.endsWith('.bias')) return () => 0
    if (axes === 1) return () => 1
    const deviation = endsBranch(name) ? range / Math.sqrt(branches) : range
    return () => deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()) // Box and Muller
  }
}
