import * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../engine/step.js'
import type { TensorData } from '../types.js'
import { checkIds, type Decoder, SCORES, scoresOf } from './decoder.js'
import { filledUp, KeyValueCache, keyValueInputs, keyValueOutputs, nextToken, remembering } from './key-value-cache.js'
import type { Visibility } from './layers/attention.js'
import type { Seq2SeqNetwork } from './network.js'
import { runForward, type RunningNetwork } from './running-network.js'

/** The kind of keys and values that are made of the source, once. */
const LOOKED = 'looked'

/** A text that is made of another, its source. It begins with the network's own first token. */
export class Seq2SeqDecoder implements Decoder {
  readonly #running: RunningNetwork<Seq2SeqNetwork>
  readonly #cache: KeyValueCache
  readonly #ids: number[] = []
  /** What every token takes of the source: its mask, and what each layer looks at. */
  #source: ReadonlyMap<string, TensorData> = new Map<string, TensorData>()

  constructor (running: RunningNetwork<Seq2SeqNetwork>) {
    this.#running = running
    this.#cache = new KeyValueCache(this.positions)
  }

  get ids (): readonly number[] { return this.#ids }

  get positions (): number { return this.#running.network.info.positions }

  async begin (prompt: readonly number[]): Promise<Float32Array> {
    const { network } = this.#running
    const { decoderStart, info } = network
    checkIds(prompt, info)
    const text = filledUp(prompt, info.positions)
    const mask: TensorData = { shape: text.shape, values: Float32Array.from(text.values, (_, i) => i < prompt.length ? 1 : 0) }
    const inputs = new Map<string, TensorData>([
      ['source_ids', text],
      ['source_mask', mask],
      ['input_ids', { shape: [1, 1], values: Int32Array.of(decoderStart) }]
    ])
    const results = await runForward(this.#running, 'seq2seq begin', inputs, (parameters, tap, tensor) => {
      const outputs: Record<string, tf.Tensor> = {}
      const source = sourceFrom(tensor)
      const encoded = network.encode(parameters, { inputIds: tensor<tf.Tensor2D>('source_ids'), ...source }, tap) // [length, width]
      const looked = network.look(parameters, encoded, 1, tap)
      for (const [layer, made] of looked.entries()) Object.assign(outputs, keyValueOutputs(LOOKED, layer, made))
      const inputIds = tensor<tf.Tensor2D>('input_ids') // [1, 1]
      const tokens = { inputIds, attentionMask: tf.ones<tf.Rank.R2>([1, 1]), fillBias: tf.zeros<tf.Rank.R2>([1, 1]), remember: remembering(outputs) }
      outputs[SCORES] = network.decode(parameters, tokens, looked, source, tap) // [1, vocabulary]
      return outputs
    })
    this.#source = new Map<string, TensorData>([['source_mask', mask], ...[...results].filter(([name]) => name.startsWith(LOOKED))])
    this.#cache.fill(results, 1)
    this.#ids.push(decoderStart)
    return scoresOf(results)
  }

  async next (id: number): Promise<Float32Array> {
    const { network } = this.#running
    checkIds([id], network.info, this.#ids.length)
    const layers = [...this.#source.keys()].filter(name => name.startsWith(`${LOOKED}.key`)).map((_, layer) => layer)
    const inputs = new Map<string, TensorData>([...this.#cache.inputs(id), ...this.#source])
    const results = await runForward(this.#running, 'seq2seq next', inputs, (parameters, tap, tensor) => {
      const outputs: Record<string, tf.Tensor> = {}
      const looked = layers.map(layer => keyValueInputs(LOOKED, layer, tensor))
      outputs[SCORES] = network.decode(parameters, nextToken(tensor, outputs), looked, sourceFrom(tensor), tap) // [1, vocabulary]
      return outputs
    })
    this.#cache.add(results)
    this.#ids.push(id)
    return scoresOf(results)
  }
}

/** What of the source may be looked at. */
function sourceFrom (tensor: TensorsByName): Visibility {
  const attentionMask = tensor<tf.Tensor2D>('source_mask') // [1, length]
  return { attentionMask, fillBias: tf.zerosLike(attentionMask) }
}
