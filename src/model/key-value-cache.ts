/** Keys and values of the tokens so far: as they are kept, and in the step that takes one more token. */
import * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../engine/step.js'
import type { FloatTensor, NamedTensors, TensorData } from '../types.js'
import type { KeyValue, Remembered, Tokens } from './network.js'

/** Texts and what is remembered are filled up to multiples of this, so that few lengths differ: a step is compiled for each. */
const LENGTH_STEP = 64

/** Kinds of keys and values: what a step made of its own tokens, and what others made before. */
const MADE = 'made'
const PAST = 'past'

/** What each layer made of one text's tokens, so that a further token costs one row of every product and not the whole text again. */
export class KeyValueCache {
  readonly #positions: number
  /** By layer `[1, groups, capacity, size]` each; what is beyond the length is not looked at. */
  #tensors: Map<string, FloatTensor> = new Map<string, FloatTensor>()
  #capacity = 0
  #length = 0

  /** @param positions the most tokens that there may be */
  constructor (positions: number) {
    this.#positions = positions
  }

  /** Takes what a step made of the first tokens, of which so many are not there to fill it up. */
  fill (results: NamedTensors<Float32Array>, length: number): void {
    const made = [...results].filter(([name]) => name.startsWith(MADE))
    this.#tensors = new Map(made.map(([name, { shape, values }]) => [name.slice(MADE.length), { shape, values: values.slice() }]))
    const [[, , capacity] = [0, 0, 0]] = made.map(([, { shape }]) => shape)
    this.#capacity = capacity
    this.#length = length
  }

  /** What `nextToken` takes. */
  inputs (id: number): Map<string, TensorData> {
    if (this.#length === this.#capacity) this.#grow()
    const [capacity, length] = [this.#capacity, this.#length]
    return new Map<string, TensorData>([
      ['input_ids', { shape: [1, 1], values: Int32Array.of(id) }],
      ['mask', { shape: [1, capacity + 1], values: Float32Array.from({ length: capacity + 1 }, (_, i) => i < length || i === capacity ? 1 : 0) }],
      ['queries', { shape: [1], values: Int32Array.of(length) }],
      ['keys', { shape: [capacity + 1], values: Int32Array.from({ length: capacity + 1 }, (_, i) => i === capacity ? length : i) }],
      ...[...this.#tensors].map(([name, tensor]) => [PAST + name, tensor] as const)
    ])
  }

  /** Takes what a step made of the token that it was given. */
  add (results: NamedTensors<Float32Array>): void {
    for (const [name, kept] of this.#tensors) put(kept, results.get(MADE + name), this.#length)
    this.#length++
  }

  #grow (): void {
    const capacity = Math.min(this.#positions, Math.max(LENGTH_STEP, 2 * this.#capacity))
    this.#tensors = new Map([...this.#tensors].map(([name, kept]) => {
      const [rows, groups, , size] = kept.shape
      const grown = { shape: [rows, groups, capacity, size], values: new Float32Array(groups * capacity * size) }
      put(grown, kept, 0)
      return [name, grown]
    }))
    this.#capacity = capacity
  }
}

/** In a step: what each layer makes of its tokens becomes outputs. */
export function remembering (outputs: Record<string, tf.Tensor>): NonNullable<Remembered['remember']> {
  return (layer, made) => {
    Object.assign(outputs, keyValueOutputs(MADE, layer, made))
    return made
  }
}

/** In a step: the one token of `KeyValueCache.inputs`, which looks at all that is remembered; what is made of it becomes outputs. */
export function nextToken (tensor: TensorsByName, outputs: Record<string, tf.Tensor>): Tokens & Remembered {
  const mask = tensor<tf.Tensor2D>('mask') // [1, keys]
  const keep = remembering(outputs)
  return {
    inputIds: tensor<tf.Tensor2D>('input_ids'),
    attentionMask: mask,
    fillBias: tf.zerosLike(mask),
    positions: { queries: tensor('queries'), keys: tensor('keys') },
    remember: (layer, made) => {
      const [past, own] = [keyValueInputs(PAST, layer, tensor), keep(layer, made)]
      return { key: tf.concat([past.key, own.key], 2), value: tf.concat([past.value, own.value], 2) } // [1, groups, keys, size]
    }
  }
}

/** Of one layer and kind, under the names that `keyValueInputs` knows. */
export function keyValueOutputs (kind: string, layer: number, { key, value }: KeyValue): Record<string, tf.Tensor> {
  return { [`${kind}.key.${layer}`]: key, [`${kind}.value.${layer}`]: value }
}

export function keyValueInputs (kind: string, layer: number, tensor: TensorsByName): KeyValue {
  return { key: tensor(`${kind}.key.${layer}`), value: tensor(`${kind}.value.${layer}`) }
}

/** The tokens of a text, `[1, length]`, filled up. */
export function filledUp (ids: readonly number[], positions: number): TensorData<Int32Array> {
  const length = Math.min(positions, Math.ceil(ids.length / LENGTH_STEP) * LENGTH_STEP)
  return { shape: [1, length], values: Int32Array.from({ length }, (_, i) => ids.at(i) ?? 0) }
}

/** Writes what `[1, groups, n, size]` holds into `[1, groups, capacity, size]`, from a place on. */
function put ({ shape: [, groups, capacity, size], values }: FloatTensor, part: FloatTensor | undefined, place: number): void {
  if (part === undefined) return
  const [, , count] = part.shape
  for (let group = 0; group < groups; group++) {
    values.set(part.values.subarray(group * count * size, (group + 1) * count * size), (group * capacity + place) * size)
  }
}
