import * as tf from '@tensorflow/tfjs'
import type { Engine } from '../engine/engine.js'
import type { Step, TensorsByName } from '../engine/step.js'
import { InvalidBatchError, NonFiniteError, UnknownSiteError } from '../errors.js'
import type { Batch, FloatTensor, NamedTensors, Site, SiteData, TensorData } from '../types.js'
import { crossEntropy, IGNORED_LABEL, shiftLabels } from './loss.js'
import type { Network, NetworkInfo, Parameters, Tap, Tokens } from './network.js'

/** The least float32: where a score has it added, softmax gives 0 (and 1/length where all have it, as transformers does). */
const MASKED = -3.4028234663852886e38

/** Unmerged auxiliaries, which run beside the base model. */
export interface Beside {
  /** Names what `apply` does: the same name and the same shapes of inputs mean the same work. */
  readonly key: string
  /** What it works on, by names of its own. */
  readonly inputs: NamedTensors
  /** α·g(x) `[tokens, out]`, which is added to the site's output; undefined where there is none. Pure. */
  readonly apply: (site: Site, x: tf.Tensor2D, tensor: TensorsByName) => tf.Tensor2D | undefined
}

export interface PassOptions {
  /** Where x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly Site[]
  /** θ + αΔW of merged sites, in the layout of `Network.siteWeight`. @default none */
  readonly merged?: ReadonlyMap<string, FloatTensor>
  readonly beside?: Beside
  /** Whether the logits are wanted. @default false */
  readonly logits?: boolean
}

export interface PassResult {
  /** Mean cross-entropy over the positions that count, in nats. */
  readonly loss: number
  /** Positions that count. */
  readonly tokens: number
  /** x_m and ∇ĥ_m of every site asked for, by name. */
  readonly data: ReadonlyMap<string, SiteData>
  /** `[rows, length, vocabulary]` */
  readonly logits?: FloatTensor
}

/**
 * One forward pass, and where sites are asked for one backward pass, of the frozen base model: the host's whole work
 * (arXiv 2404.13844, Algorithm 1).
 *
 * @throws {InvalidBatchError} if the batch does not fit the network
 * @throws {NonFiniteError} if the loss is NaN or infinite
 */
export async function runPass (engine: Engine, network: Network, batch: Batch, options: PassOptions): Promise<PassResult> {
  checkBatch(batch, network.info)
  const { ids, weights, tokens } = shiftLabels(batch)
  if (tokens === 0) throw new InvalidBatchError('no label counts: every label is -100, or rows have a single token')
  const { sites, merged = new Map<string, FloatTensor>(), beside, logits = false } = options
  const { rows, length, inputIds, attentionMask } = batch
  const results = await engine.run({
    key: JSON.stringify([sites.map(({ name }) => name), logits, beside?.key]),
    step: passStep(network, { sites, logits, merged: new Set(merged.keys()), ...(beside && { beside }) }),
    inputs: new Map<string, TensorData>([
      ['input_ids', { shape: [rows, length], values: inputIds }],
      ['attention_mask', { shape: [rows, length], values: Float32Array.from(attentionMask) }],
      ['target_ids', { shape: [rows * length], values: ids }],
      ['target_weights', { shape: [rows * length], values: weights }],
      ...prefixed('merged.', merged),
      ...prefixed('beside.', beside?.inputs ?? new Map<string, TensorData>())
    ])
  })
  const [loss] = tensorNamed(results, 'loss').values
  if (!Number.isFinite(loss)) throw new NonFiniteError(`the loss is ${loss}; the weights or the adapter hold values too large for float32`)
  const data = new Map(sites.map(({ name }) => [name, { x: tensorNamed(results, `x.${name}`), gradient: tensorNamed(results, `grad.${name}`) }]))
  return { loss, tokens, data, ...(logits ? { logits: tensorNamed(results, 'logits') } : {}) }
}

interface StepOptions {
  readonly sites: readonly Site[]
  readonly logits: boolean
  readonly merged: ReadonlySet<string>
  readonly beside?: Beside
}

/**
 * The pass as a function of tensors. A zero probe is added to the output of each site; the gradient of the loss with
 * respect to the probe is ∇ĥ_m, and no gradient of a weight is ever computed.
 */
function passStep (network: Network, { sites, logits: wantsLogits, merged, beside }: StepOptions): Step {
  return tensor => {
    const inputIds = tensor<tf.Tensor2D>('input_ids')
    const tokens = { inputIds, attentionBias: attentionBias(tensor('attention_mask')) }
    const parameters: Parameters = {
      tensor,
      weight: site => tensor(merged.has(site) ? `merged.${site}` : network.siteWeight(site).name)
    }
    const outputs: Record<string, tf.Tensor> = {}
    const lossOf = (...probes: tf.Tensor[]): tf.Scalar => {
      const probeOf = new Map(sites.map(({ name }, i) => [name, probes[i] as tf.Tensor2D]))
      const tap: Tap = (site, x, output) => {
        const own = beside?.apply(site, x, <T extends tf.Tensor>(name: string) => tensor<T>(`beside.${name}`)) // [tokens, out]
        const adapted = own === undefined ? output : tf.add<tf.Tensor2D>(output, own)
        const probe = probeOf.get(site.name)
        if (probe === undefined) return adapted
        outputs[`x.${site.name}`] = tf.keep(tf.clone(x))
        return tf.add<tf.Tensor2D>(adapted, probe)
      }
      const logits = network.logits(parameters, tokens, tap) // [rows, length, vocabulary]
      if (wantsLogits) outputs.logits = tf.keep(tf.clone(logits))
      return crossEntropy(tf.reshape(logits, [-1, network.info.vocabSize]), tensor('target_ids'), tensor('target_weights'))
    }
    if (sites.length === 0) return { ...outputs, loss: lossOf() }
    const [rows, length] = inputIds.shape
    const { value, grads } = tf.valueAndGrads(lossOf)(sites.map(({ outFeatures }) => tf.zeros([rows * length, outFeatures])))
    for (const [i, { name }] of sites.entries()) outputs[`grad.${name}`] = grads[i]
    return { ...outputs, loss: value }
  }
}

/** Added to the scores: 0 where a token may look, the least float where not. mask `[rows, length]` → `[rows, 1, length, length]` */
function attentionBias (mask: tf.Tensor2D): Tokens['attentionBias'] {
  const [rows, length] = mask.shape
  const before = Float32Array.from({ length: length * length }, (_, i) => i % length > Math.floor(i / length) ? 0 : 1)
  const seen = tf.mul(tf.tensor4d(before, [1, 1, length, length]), tf.reshape(mask, [rows, 1, 1, length]))
  return tf.mul(tf.sub(1, seen), MASKED)
}

function prefixed (prefix: string, tensors: NamedTensors): Array<[string, TensorData]> {
  return [...tensors].map(([name, tensor]) => [prefix + name, tensor])
}

function tensorNamed (results: NamedTensors<Float32Array>, name: string): FloatTensor {
  const tensor = results.get(name)
  if (tensor === undefined) throw new UnknownSiteError(`the network never came to ${name}`)
  return tensor
}

/** @throws {InvalidBatchError} naming the first thing that is wrong */
export function checkBatch (batch: Batch, limits: Pick<NetworkInfo, 'positions' | 'vocabSize'>): void {
  const { rows, length, inputIds, attentionMask, labels } = batch
  const { positions, vocabSize } = limits
  if (rows < 1 || length < 1) throw new InvalidBatchError(`a batch of ${rows} rows of ${length} tokens is empty`)
  if (length > positions) throw new InvalidBatchError(`rows of ${length} tokens, this model has ${positions} positions; use a length of at most ${positions}`)
  for (const [name, values] of Object.entries({ input_ids: inputIds, attention_mask: attentionMask, labels })) {
    if (values.length !== rows * length) throw new InvalidBatchError(`${name} has ${values.length} values, ${rows} rows of ${length} tokens need ${rows * length}`)
  }
  for (let i = 0; i < inputIds.length; i++) {
    if (inputIds[i] < 0 || inputIds[i] >= vocabSize) throw outside('input_ids', inputIds[i], i, length, `0 to ${vocabSize - 1}`)
    if (attentionMask[i] !== 0 && attentionMask[i] !== 1) throw outside('attention_mask', attentionMask[i], i, length, '0 or 1')
    if (labels[i] !== IGNORED_LABEL && (labels[i] < 0 || labels[i] >= vocabSize)) {
      throw outside('labels', labels[i], i, length, `0 to ${vocabSize - 1}, or ${IGNORED_LABEL}`)
    }
  }
}

function outside (name: string, value: number, index: number, length: number, accepted: string): InvalidBatchError {
  return new InvalidBatchError(`${name}: ${value} in row ${Math.floor(index / length)} at position ${index % length}; accepted: ${accepted}`)
}
