import * as tf from '@tensorflow/tfjs'
import type { TensorData } from '../types.js'
import { checkIds, type Decoder, SCORES, scoresOf } from './decoder.js'
import { filledUp, KeyValueCache, nextToken, remembering } from './key-value-cache.js'
import type { CausalNetwork } from './network.js'
import { runForward, type RunningNetwork } from './running-network.js'

/** A text that goes on from its prompt. */
export class CausalDecoder implements Decoder {
  readonly #running: RunningNetwork<CausalNetwork>
  readonly #cache: KeyValueCache
  readonly #ids: number[] = []

  constructor (running: RunningNetwork<CausalNetwork>) {
    this.#running = running
    this.#cache = new KeyValueCache(this.positions)
  }

  get ids (): readonly number[] { return this.#ids }

  get positions (): number { return this.#running.network.info.positions }

  async begin (prompt: readonly number[]): Promise<Float32Array> {
    const { network } = this.#running
    checkIds(prompt, network.info, this.#ids.length)
    const text = filledUp(prompt, this.positions)
    const inputs = new Map<string, TensorData>([
      ['input_ids', text],
      ['mask', { shape: text.shape, values: new Float32Array(text.values.length).fill(1) }], // no token sees what comes after it
      ['last', { shape: [1], values: Int32Array.of(prompt.length - 1) }]
    ])
    const results = await runForward(this.#running, 'causal begin', inputs, (parameters, tap, tensor) => {
      const outputs: Record<string, tf.Tensor> = {}
      const mask = tensor<tf.Tensor2D>('mask') // [1, length]
      const tokens = { inputIds: tensor<tf.Tensor2D>('input_ids'), attentionMask: mask, fillBias: tf.zerosLike(mask), remember: remembering(outputs) }
      const logits = network.logits(parameters, tokens, tap) // [length, vocabulary]
      outputs[SCORES] = tf.gather(logits, tensor<tf.Tensor1D>('last')) // [1, vocabulary]
      return outputs
    })
    this.#cache.fill(results, prompt.length)
    this.#ids.push(...prompt)
    return scoresOf(results)
  }

  async next (id: number): Promise<Float32Array> {
    const { network } = this.#running
    checkIds([id], network.info, this.#ids.length)
    const results = await runForward(this.#running, 'causal next', this.#cache.inputs(id), (parameters, tap, tensor) => {
      const outputs: Record<string, tf.Tensor> = {}
      outputs[SCORES] = network.logits(parameters, nextToken(tensor, outputs), tap) // [1, vocabulary]
      return outputs
    })
    this.#cache.add(results)
    this.#ids.push(id)
    return scoresOf(results)
  }
}
