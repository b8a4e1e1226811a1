import * as tf from '@tensorflow/tfjs'
import type { Engine } from '../engine/engine.js'
import type { Step, StepRun, TensorsByName } from '../engine/step.js'
import { InvalidBatchError, MemoryLimitError, NonFiniteError, UnknownSiteError } from '../errors.js'
import type { Batch, FloatTensor, NamedTensors, Site, SiteData, TensorData } from '../types.js'
import { joinBatches, type PassInputs, type PassShape, rowsOf, someRows } from './joined-batch.js'
import { crossEntropy, IGNORED_LABEL } from './loss.js'
import type { Network, NetworkInfo, Parameters, Tap, Tokens } from './network.js'

/** The least float32: where a score has it added, softmax gives 0 (and 1/length where all have it, as transformers does). */
const MASKED = -3.4028234663852886e38

/** Unmerged auxiliaries, which run beside the base model. */
interface Beside {
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
  /** Made for the rows as they are in the pass: of each batch in turn, and then those that fill it up. */
  readonly beside?: (shape: PassShape) => Beside
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
 * (arXiv 2404.13844, Algorithm 1). Several batches are one pass: what comes of each is what would come of it alone, as
 * the loss of the whole is the sum of theirs, and no row sees another.
 *
 * @returns of each batch in turn
 * @throws {InvalidBatchError} if a batch does not fit the network
 * @throws {NonFiniteError} if a loss is NaN or infinite
 */
export async function runPass (engine: Engine, network: Network, batches: readonly Batch[], options: PassOptions): Promise<PassResult[]> {
  for (const batch of batches) checkBatch(batch, network.info)
  const joined = joinBatches(batches, network.info.positions)
  const { sites, logits = false } = options
  const { length } = joined
  const results = await runRows(engine, network, joined, options)
  const losses = tensorNamed(results, 'losses').values // [rows]
  return joined.parts.map(({ batch, row, tokens }) => {
    const loss = losses.subarray(row, row + batch.rows).reduce((sum, own) => sum + own, 0)
    if (!Number.isFinite(loss)) throw new NonFiniteError(`the loss is ${loss}; the weights or the adapter hold values too large for float32`)
    const cut = (name: string): FloatTensor => rowsOf(tensorNamed(results, name), length, row, batch)
    const data = new Map(sites.map(({ name }) => [name, { x: cut(`x.${name}`), gradient: cut(`grad.${name}`) }]))
    const shape = [batch.rows, batch.length, network.info.vocabSize]
    return { loss, tokens, data, ...(logits ? { logits: { shape, values: cut('logits').values } } : {}) }
  })
}

/** All rows at once; where they take more memory than the engine may take, one half after the other. */
async function runRows (engine: Engine, network: Network, inputs: PassInputs, options: PassOptions): Promise<NamedTensors<Float32Array>> {
  try {
    return await engine.run(stepRun(network, inputs, options))
  } catch (error) {
    if (!(error instanceof MemoryLimitError) || inputs.rows === 1) throw error
    const half = Math.ceil(inputs.rows / 2)
    const first = await runRows(engine, network, someRows(inputs, 0, half), options)
    const second = await runRows(engine, network, someRows(inputs, half, inputs.rows - half), options)
    return new Map([...first].map(([name, tensor]) => [name, below(tensor, tensorNamed(second, name))]))
  }
}

/** Rows of one tensor below those of another. */
function below (first: FloatTensor, second: FloatTensor): FloatTensor {
  const values = new Float32Array(first.values.length + second.values.length)
  values.set(first.values)
  values.set(second.values, first.values.length)
  return { shape: [first.shape[0] + second.shape[0], ...first.shape.slice(1)], values }
}

function stepRun (network: Network, inputs: PassInputs, options: PassOptions): StepRun {
  const { sites, merged = new Map<string, FloatTensor>(), logits = false } = options
  const beside = options.beside?.(inputs)
  const { rows, length } = inputs
  return {
    key: JSON.stringify([sites.map(({ name }) => name), logits, [...merged.keys()], beside?.key]),
    step: passStep(network, { sites, logits, merged: new Set(merged.keys()), ...(beside && { beside }) }),
    inputs: new Map<string, TensorData>([
      ['input_ids', { shape: [rows, length], values: inputs.inputIds }],
      ['attention_mask', { shape: [rows, length], values: inputs.attentionMask }],
      ['fill_bias', { shape: [rows, length], values: inputs.fillBias }],
      ['target_ids', { shape: [rows * length], values: inputs.targetIds }],
      ['target_weights', { shape: [rows * length], values: inputs.targetWeights }],
      ...prefixed('merged.', merged),
      ...prefixed('beside.', beside?.inputs ?? new Map<string, TensorData>())
    ])
  }
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
    const tokens = { inputIds, attentionBias: attentionBias(tensor('attention_mask'), tensor('fill_bias')) }
    const parameters: Parameters = {
      tensor,
      weight: site => tensor(merged.has(site) ? `merged.${site}` : network.siteWeight(site).name)
    }
    const [rows, length] = inputIds.shape
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
      const logits = tf.reshape<tf.Rank.R2>(network.logits(parameters, tokens, tap), [-1, network.info.vocabSize]) // [tokens, vocabulary]
      if (wantsLogits) outputs.logits = tf.keep(tf.clone(logits))
      const losses = crossEntropy(logits, tensor('target_ids'), tensor('target_weights')) // [tokens]
      outputs.losses = tf.keep(tf.sum(tf.reshape(losses, [rows, length]), -1)) // [rows]
      return tf.sum(losses)
    }
    try {
      if (sites.length === 0) {
        lossOf()
        return outputs
      }
      const { grads } = tf.valueAndGrads(lossOf)(sites.map(({ outFeatures }) => tf.zeros([rows * length, outFeatures])))
      for (const [i, { name }] of sites.entries()) outputs[`grad.${name}`] = grads[i]
      return outputs
    } catch (error) {
      tf.dispose(outputs) // they are kept
      throw error
    }
  }
}

/** Added to the scores: 0 where a token may look, the least float where not. mask and fill `[rows, length]` → `[rows, 1, length, length]` */
function attentionBias (mask: tf.Tensor2D, fill: tf.Tensor2D): Tokens['attentionBias'] {
  const [rows, length] = mask.shape
  const before = Float32Array.from({ length: length * length }, (_, i) => i % length > Math.floor(i / length) ? 0 : 1)
  const seen = tf.mul(tf.tensor4d(before, [1, 1, length, length]), tf.reshape(mask, [rows, 1, 1, length]))
  return tf.add(tf.mul(tf.sub(1, seen), MASKED), tf.reshape(fill, [rows, 1, 1, length]))
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
