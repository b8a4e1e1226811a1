import * as tf from '@tensorflow/tfjs'
import type { Engine } from '../engine/engine.js'
import type { Step } from '../engine/step.js'
import { InvalidBatchError } from '../errors.js'
import type { FloatTensor, NamedTensors, TensorData } from '../types.js'
import { type Beside, besideName, besideTap } from './beside.js'
import type { KeyValue, Network, Tokens } from './network.js'
import { mergedName, parametersOf } from './parameters.js'

export interface DecoderInit {
  readonly engine: Engine
  readonly network: Network
  /** θ + αΔW of merged sites. */
  readonly merged: ReadonlyMap<string, FloatTensor>
  /** What runs beside θ, for a number of tokens. */
  readonly beside?: (tokens: number) => Beside
}

/** Prompts and what is remembered are filled up to multiples of this, so that few lengths differ: a step is compiled for each. */
const LENGTH_STEP = 64

/**
 * One text that grows token by token. What each layer made of the tokens so far is kept (the cache of keys and values), so that
 * a further token costs one row of every product and not the whole text again.
 */
export class Decoder {
  readonly #init: DecoderInit
  /** `key.<layer>` and `value.<layer>`, `[1, groups, capacity, size]` each; what is beyond the length is not looked at. */
  #cache: Map<string, FloatTensor> = new Map<string, FloatTensor>()
  #capacity = 0
  #length = 0

  constructor (init: DecoderInit) {
    this.#init = init
  }

  /** Tokens so far. */
  get length (): number { return this.#length }

  /** The most that there may be. */
  get positions (): number { return this.#init.network.info.positions }

  /**
   * Takes the tokens that come first.
   *
   * @returns scores of the one that follows, `[vocabulary]`
   * @throws {InvalidBatchError} if there are none, or more than the network has positions, or one that it has not
   */
  async begin (ids: readonly number[]): Promise<Float32Array> {
    this.#check(ids)
    const length = Math.min(this.positions, roundUp(ids.length))
    const inputs = new Map<string, TensorData>([
      ['input_ids', { shape: [1, length], values: Int32Array.from({ length }, (_, i) => ids.at(i) ?? 0) }],
      ['mask', { shape: [1, length], values: new Float32Array(length).fill(1) }], // no token sees what comes after it
      ['last', { shape: [1], values: Int32Array.of(ids.length - 1) }]
    ])
    const results = await this.#run('begin', length, inputs, { placed: () => ({}), recalled: own => own })
    this.#capacity = length
    this.#length = ids.length
    this.#cache = new Map([...results].filter(([name]) => name !== SCORES).map(([name, { shape, values }]) => [name, { shape, values: values.slice() }]))
    return scoresOf(results)
  }

  /** Takes one more token. Returns and throws as `begin` does. */
  async next (id: number): Promise<Float32Array> {
    this.#check([id])
    if (this.#length === this.#capacity) this.#grow()
    const capacity = this.#capacity
    const length = this.#length
    const inputs = new Map<string, TensorData>([
      ['input_ids', { shape: [1, 1], values: Int32Array.of(id) }],
      ['mask', { shape: [1, capacity + 1], values: Float32Array.from({ length: capacity + 1 }, (_, i) => i < length || i === capacity ? 1 : 0) }],
      ['queries', { shape: [1], values: Int32Array.of(length) }],
      ['keys', { shape: [capacity + 1], values: Int32Array.from({ length: capacity + 1 }, (_, i) => i === capacity ? length : i) }],
      ['last', { shape: [1], values: Int32Array.of(0) }],
      ...[...this.#cache].map(([name, tensor]) => [PAST + name, tensor] as const)
    ])
    const results = await this.#run('next', 1, inputs, {
      placed: tensor => ({ positions: { queries: tensor<tf.Tensor1D>('queries'), keys: tensor<tf.Tensor1D>('keys') } }),
      recalled: ({ key, value }, layer, tensor) => ({
        key: tf.concat([tensor<tf.Tensor4D>(`${PAST}key.${layer}`), key], 2),
        value: tf.concat([tensor<tf.Tensor4D>(`${PAST}value.${layer}`), value], 2)
      })
    })
    for (const [name, cached] of this.#cache) put(cached, results.get(name), length)
    this.#length++
    return scoresOf(results)
  }

  #check (ids: readonly number[]): void {
    const { positions, vocabSize } = this.#init.network.info
    const unknown = ids.find(id => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
    if (unknown !== undefined) throw new InvalidBatchError(`token ${unknown}; this model has 0 to ${vocabSize - 1}`)
    if (ids.length === 0) throw new InvalidBatchError('there is no token to begin with')
    const after = this.#length + ids.length
    if (after > positions) throw new InvalidBatchError(`${after} tokens; this model has ${positions} positions`)
  }

  /** @param what names what the way does */
  async #run (what: string, tokens: number, inputs: ReadonlyMap<string, TensorData>, way: Way): Promise<NamedTensors<Float32Array>> {
    const { engine, merged } = this.#init
    const beside = this.#init.beside?.(tokens)
    return await engine.run({
      key: JSON.stringify(['decode', what, [...merged.keys()], beside?.key]),
      step: this.#step(beside, way),
      inputs: new Map<string, TensorData>([
        ...inputs,
        ...[...merged].map(([site, tensor]) => [mergedName(site), tensor] as const),
        ...[...beside?.inputs ?? []].map(([name, tensor]) => [besideName(name), tensor] as const)
      ])
    })
  }

  #step (beside: Beside | undefined, { placed, recalled }: Way): Step {
    const { network, merged } = this.#init
    return tensor => {
      const outputs: Record<string, tf.Tensor> = {}
      const mask = tensor<tf.Tensor2D>('mask') // [1, keys]
      const remember = (layer: number, own: KeyValue): KeyValue => {
        outputs[`key.${layer}`] = own.key
        outputs[`value.${layer}`] = own.value
        return recalled(own, layer, tensor)
      }
      const tokens: Tokens = { inputIds: tensor('input_ids'), attentionMask: mask, fillBias: tf.zerosLike(mask), ...placed(tensor), remember }
      const logits = network.logits(parametersOf(network, tensor, merged), tokens, besideTap(beside, tensor)) // [1, length, vocabulary]
      outputs[SCORES] = tf.gather(tf.squeeze<tf.Tensor2D>(logits, [0]), tensor<tf.Tensor1D>('last')) // [1, vocabulary]
      return outputs
    }
  }

  #grow (): void {
    const capacity = Math.min(this.#init.network.info.positions, Math.max(LENGTH_STEP, 2 * this.#capacity))
    this.#cache = new Map([...this.#cache].map(([name, cached]) => {
      const [rows, groups, , size] = cached.shape
      const grown = { shape: [rows, groups, capacity, size], values: new Float32Array(groups * capacity * size) }
      put(grown, cached, 0)
      return [name, grown]
    }))
    this.#capacity = capacity
  }
}

type Tensors = Parameters<Step>[0]

/** How tokens are taken. */
interface Way {
  /** Where they stand. */
  readonly placed: (tensor: Tensors) => Pick<Tokens, 'positions'>
  /** Keys and values that a layer looks at, from its own. */
  readonly recalled: (own: KeyValue, layer: number, tensor: Tensors) => KeyValue
}

const SCORES = 'scores'

/** Before the names of what is remembered, where it is given to a step. */
const PAST = 'past.'

/** Writes what `[1, groups, n, size]` holds into `[1, groups, capacity, size]`, from a place on. */
function put ({ shape: [, groups, capacity, size], values }: FloatTensor, part: FloatTensor | undefined, place: number): void {
  if (part === undefined) return
  const [, , count] = part.shape
  for (let group = 0; group < groups; group++) {
    values.set(part.values.subarray(group * count * size, (group + 1) * count * size), (group * capacity + place) * size)
  }
}

function scoresOf (results: NamedTensors<Float32Array>): Float32Array {
  return results.get(SCORES)?.values ?? new Float32Array()
}

function roundUp (length: number): number {
  return Math.ceil(length / LENGTH_STEP) * LENGTH_STEP
}
