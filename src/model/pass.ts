import * as tf from '@tensorflow/tfjs'
import { InvalidBatchError, NonFiniteError, UnknownSiteError } from '../errors.js'
import type { Batch, FloatTensor, Site, SiteData } from '../types.js'
import { crossEntropy, IGNORED_LABEL, shiftLabels } from './loss.js'
import type { Network, NetworkInfo, Tap, Tokens } from './network.js'

/** The least float32: where a score has it added, softmax gives 0 (and 1/length where all have it, as transformers does). */
const MASKED = -3.4028234663852886e38

export interface PassOptions {
  /** Where x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly Site[]
  /** α·g(x) `[tokens, out]` for an unmerged auxiliary, which is added to the site's output; undefined where there is none. */
  readonly adapt?: (site: Site, x: tf.Tensor2D) => tf.Tensor2D | undefined
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
 * (arXiv 2404.13844, Algorithm 1). A zero probe is added to the output of each site; the gradient of the loss with
 * respect to the probe is ∇ĥ_m, and no gradient of a weight is ever computed.
 *
 * @throws {InvalidBatchError} if the batch does not fit the network
 * @throws {NonFiniteError} if the loss is NaN or infinite
 */
export async function runPass (network: Network, batch: Batch, options: PassOptions): Promise<PassResult> {
  checkBatch(batch, network.info)
  const targets = shiftLabels(batch)
  if (targets.tokens === 0) throw new InvalidBatchError('no label counts: every label is -100, or rows have a single token')
  const wanted = new Map(options.sites.map(site => [site.name, site]))
  const inputs: tf.Tensor[] = []
  const kept = new Map<string, tf.Tensor2D>()
  let keptLogits: tf.Tensor3D | undefined
  const gradients = new Map<string, tf.Tensor>()
  let loss: tf.Scalar | undefined
  try {
    const tokens = upload(batch, inputs)
    const ids = keep(inputs, tf.tensor1d(targets.ids, 'int32')) // [tokens]
    const weights = keep(inputs, tf.tensor1d(targets.weights)) // [tokens]

    const lossOf = (...probes: tf.Tensor[]): tf.Scalar => {
      const probeOf = new Map([...wanted.keys()].map((name, i) => [name, probes[i] as tf.Tensor2D]))
      const tap: Tap = (site, x, output) => {
        const own = options.adapt?.(site, x) // [tokens, out]
        const adapted = own === undefined ? output : tf.add<tf.Tensor2D>(output, own)
        const probe = probeOf.get(site.name)
        if (probe === undefined) return adapted
        kept.set(site.name, tf.keep(tf.clone(x)))
        return tf.add<tf.Tensor2D>(adapted, probe)
      }
      const logits = network.logits(tokens, tap) // [rows, length, vocabulary]
      if (options.logits === true) keptLogits = tf.keep(tf.clone(logits))
      return crossEntropy(tf.reshape(logits, [-1, network.info.vocabSize]), ids, weights)
    }

    if (wanted.size === 0) {
      loss = tf.tidy(lossOf)
    } else {
      const probes = [...wanted.values()].map(site => keep(inputs, tf.zeros([batch.rows * batch.length, site.outFeatures])))
      const result = tf.valueAndGrads(lossOf)(probes)
      loss = result.value
      for (const [i, name] of [...wanted.keys()].entries()) gradients.set(name, result.grads[i])
    }
    return await download(loss, targets.tokens, kept, gradients, keptLogits)
  } finally {
    tf.dispose([inputs, [...kept.values()], [...gradients.values()], loss ?? [], keptLogits ?? []])
  }
}

async function download (
  loss: tf.Scalar, tokens: number, kept: ReadonlyMap<string, tf.Tensor2D>, gradients: ReadonlyMap<string, tf.Tensor>, logits?: tf.Tensor3D
): Promise<PassResult> {
  const [value] = await loss.data<'float32'>()
  if (!Number.isFinite(value)) throw new NonFiniteError(`the loss is ${value}; the weights or the adapter hold values too large for float32`)
  const data = new Map<string, SiteData>()
  for (const [name, gradient] of gradients) {
    const x = kept.get(name)
    if (x === undefined) throw new UnknownSiteError(`the network never passed site ${name}`)
    data.set(name, { x: await rest(x), gradient: await rest(gradient) })
  }
  return { loss: value, tokens, data, ...(logits === undefined ? {} : { logits: await rest(logits) }) }
}

async function rest (tensor: tf.Tensor): Promise<FloatTensor> {
  return { shape: tensor.shape, values: await tensor.data<'float32'>() }
}

function keep<T extends tf.Tensor> (list: tf.Tensor[], tensor: T): T {
  list.push(tensor)
  return tensor
}

function upload ({ rows, length, inputIds, attentionMask }: Batch, list: tf.Tensor[]): Tokens {
  const bias = new Float32Array(rows * length * length)
  for (let row = 0; row < rows; row++) {
    for (let from = 0; from < length; from++) {
      for (let to = 0; to < length; to++) {
        if (to > from || attentionMask[row * length + to] === 0) bias[(row * length + from) * length + to] = MASKED
      }
    }
  }
  return {
    inputIds: keep(list, tf.tensor2d(inputIds, [rows, length], 'int32')),
    attentionBias: keep(list, tf.tensor4d(bias, [rows, 1, length, length]))
  }
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
