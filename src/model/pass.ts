import * as tf from '@tensorflow/tfjs'
import type { ModuleResult } from '../auxiliary-spec.js'
import type { Engine } from '../engine/engine.js'
import type { Step, StepRun, TensorsByName } from '../engine/step.js'
import { MemoryLimitError, NonFiniteError, UnknownSiteError } from '../errors.js'
import { inputShape, type Lengths, lengthsOf, outputShape } from '../places.js'
import type { Batch, FloatTensor, NamedTensors, Site, SitePair, TensorData } from '../types.js'
import { type Beside, besideName, besideTap } from './beside.js'
import { joinBatches, type PassInputs, type PassShape, rowsOf, someRows } from './joined-batch.js'
import { crossEntropy, squaredError } from './loss.js'
import type { Network, NetworkInfo, Tap } from './network.js'
import { mergedName, parametersOf } from './parameters.js'
import { checkBatch, definitionOf } from './tasks/tasks.js'

/** What is made of x and ∇ĥ where they are. */
interface Reduction {
  /** What it works on, by names of its own. */
  readonly inputs: NamedTensors
  /** x and ∇ĥ, see `SitePair` → tensors by names of its own. Pure; the same shapes of inputs mean the same work. */
  readonly apply: (site: Site, x: tf.Tensor2D, gradient: tf.Tensor2D, tensor: TensorsByName) => Readonly<Record<string, tf.Tensor>>
}

export interface PassOptions {
  /** Where there is a backward pass to; none for a forward pass alone. */
  readonly sites: readonly Site[]
  /** Whether x and ∇ĥ of the sites are wanted themselves. @default true */
  readonly pairs?: boolean
  /** What else of the sites is wanted: what their modules give without what is beside them. @default nothing */
  readonly given?: readonly ModuleResult[]
  /** Made for the rows as they are in the pass, as `beside` is; gives tensors `[rows, …]`. @default nothing is made of them */
  readonly reduce?: (shape: PassShape) => Reduction
  /** The same, of which tensors are summed over all rows of the pass. @default nothing is made of them */
  readonly sum?: (shape: PassShape) => Reduction
  /** θ + αΔW of merged sites, in the layout of `Network.siteWeight`. @default none */
  readonly merged?: ReadonlyMap<string, FloatTensor>
  /** Made for the rows as they are in the pass: of each batch in turn, and then those that fill it up. */
  readonly beside?: (shape: PassShape) => Beside
  /**
   * What x of some sites is multiplied by before it comes to what is beside them, and to what is made of x and ∇ĥ: `[places, in]`, by
   * name; made for the rows as they are in the pass. Its modules get x as it is.
   */
  readonly masks?: (shape: PassShape) => NamedTensors<Float32Array>
  /** Whether the logits are wanted. @default false */
  readonly logits?: boolean
}

export interface PassResult {
  /** Mean over the predictions that count: their cross-entropy, in nats, or where the model gives a number its squared error. */
  readonly loss: number
  /** Predictions that count: one for each token, or row. */
  readonly tokens: number
  /** x_m and ∇ĥ_m of every site, by name, where they are wanted. */
  readonly pairs: ReadonlyMap<string, SitePair>
  /** What their modules gave by themselves, `[places, out]`, as far as it is wanted. */
  readonly given: ReadonlyMap<string, Readonly<Partial<Record<ModuleResult, FloatTensor>>>>
  /** What was made of them, `[rows, …]`, by the site's name and then its own. */
  readonly reduced: ReadonlyMap<string, ReadonlyMap<string, FloatTensor>>
  /** What was summed over all rows of the pass, the same for each batch, by the site's name and then its own. */
  readonly summed: ReadonlyMap<string, ReadonlyMap<string, FloatTensor>>
  /** `[rows, length, vocabulary]`, `[rows, target, vocabulary]` or `[rows, labels]` */
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
  const { info } = network
  for (const batch of batches) checkBatch(batch, info)
  const joined = joinBatches(batches, network)
  const { sites, pairs = true, given = [], logits = false } = options
  const output = outputOf(info)
  const results = await runRows(engine, network, joined, options)
  const losses = tensorNamed(results, 'losses').values // [rows]
  const summed = new Map(sites.map(({ name }) => [name, namedAfter(results, summedPrefix(name))]))
  return joined.parts.map(({ batch, row, counted }) => {
    const loss = losses.subarray(row, row + batch.rows).reduce((sum, own) => sum + own, 0)
    if (!Number.isFinite(loss)) throw new NonFiniteError(`the loss is ${loss}; the weights or the adapter hold values too large for float32`)
    const lengths = lengthsOf(batch)
    const cut = (name: string, site: Site, shapeOf: typeof inputShape): FloatTensor => {
      const places = (those: Lengths): number => shapeOf(site, 1, those)[0]
      return rowsOf(tensorNamed(results, name), places(joined.lengths), row, batch.rows, places(lengths))
    }
    const whole = new Map(pairs ? sites.map(site => [site.name, { x: inputOf(site, cut(`x.${site.name}`, site, inputShape)), gradient: cut(`grad.${site.name}`, site, outputShape) }]) : [])
    const givenBy = new Map(sites.map(site => [site.name, Object.fromEntries(given.map(what => [what, cut(`${what}.${site.name}`, site, outputShape)]))]))
    const reduced = new Map(sites.map(({ name }) => [name, reducedRows(results, name, row, batch.rows)]))
    return { loss, tokens: counted, pairs: whole, given: givenBy, reduced, summed, ...(logits ? { logits: logitsOf(cut('logits', output, outputShape), batch, output) } : {}) }
  })
}

/** What comes out of a step are floats; tokens are integers again. */
function inputOf ({ embedding = false }: Site, { shape, values }: FloatTensor): TensorData {
  return { shape, values: embedding ? Int32Array.from(values) : values }
}

/** As transformers gives them: by row and token, or by row. */
function logitsOf ({ values }: FloatTensor, { rows }: Batch, { places, outFeatures }: Site): FloatTensor {
  return { shape: typeof places === 'number' ? [rows, outFeatures] : [rows, values.length / rows / outFeatures, outFeatures], values }
}

function outputOf ({ sites, output }: NetworkInfo): Site {
  const site = sites.find(({ name }) => name === output)
  if (site === undefined) throw new UnknownSiteError(`the output layer ${output} is not in the list of sites`)
  return site
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
    return new Map([...first].map(([name, tensor]) => [name, (isSummed(name) ? plus : below)(tensor, tensorNamed(second, name))]))
  }
}

/** What was made of x and ∇ĥ of one site and some rows. */
function reducedRows (results: NamedTensors<Float32Array>, site: string, first: number, rows: number): Map<string, FloatTensor> {
  return new Map([...namedAfter(results, reducedPrefix(site))].map(([name, { shape: [all, ...rest], values }]) => {
    const size = values.length / all
    return [name, { shape: [rows, ...rest], values: values.subarray(first * size, (first + rows) * size) }]
  }))
}

/** Those whose names begin so, by the rest of their names. */
function namedAfter (results: NamedTensors<Float32Array>, prefix: string): Map<string, FloatTensor> {
  return new Map([...results].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]))
}

function reducedPrefix (site: string): string {
  return `reduced|${site}|`
}

const SUMMED = 'summed|'

function summedPrefix (site: string): string {
  return `${SUMMED}${site}|`
}

function isSummed (name: string): boolean {
  return name.startsWith(SUMMED)
}

function plus ({ shape, values }: FloatTensor, other: FloatTensor): FloatTensor {
  return { shape, values: values.map((value, i) => value + other.values[i]) }
}

/** Rows of one tensor below those of another. */
function below (first: FloatTensor, second: FloatTensor): FloatTensor {
  const values = new Float32Array(first.values.length + second.values.length)
  values.set(first.values)
  values.set(second.values, first.values.length)
  return { shape: [first.shape[0] + second.shape[0], ...first.shape.slice(1)], values }
}

function stepRun (network: Network, inputs: PassInputs, options: PassOptions): StepRun {
  const { sites, pairs = true, given = [], merged = new Map<string, FloatTensor>(), logits = false } = options
  const beside = options.beside?.(inputs)
  const [reduction, sum] = [options.reduce?.(inputs), options.sum?.(inputs)]
  const masks = options.masks?.(inputs) ?? new Map<string, FloatTensor>()
  return {
    key: JSON.stringify([sites.map(({ name }) => name), pairs, given, logits, [...merged.keys()], beside?.key, reduction !== undefined, sum !== undefined, [...masks.keys()]]),
    step: passStep(network, inputs, { sites, pairs, given, logits, merged: new Set(merged.keys()), masked: new Set(masks.keys()), ...(beside && { beside }), ...(reduction && { reduction }), ...(sum && { sum }) }),
    inputs: new Map<string, TensorData>([
      ...inputs.tensors,
      ...prefixed(mergedName(''), merged),
      ...prefixed(besideName(''), beside?.inputs ?? new Map<string, TensorData>()),
      ...prefixed(maskName(''), masks),
      ...prefixed(REDUCE, reduction?.inputs ?? new Map<string, TensorData>()),
      ...prefixed(SUM, sum?.inputs ?? new Map<string, TensorData>())
    ])
  }
}

/** Before the names of what reductions work on. */
const REDUCE = 'reduce.'
const SUM = 'sum.'

interface StepOptions {
  readonly sites: readonly Site[]
  readonly pairs: boolean
  readonly given: readonly ModuleResult[]
  readonly logits: boolean
  readonly merged: ReadonlySet<string>
  readonly masked: ReadonlySet<string>
  readonly beside?: Beside
  readonly reduction?: Reduction
  readonly sum?: Reduction
}

/**
 * The pass as a function of tensors. A zero probe is added to the output of each site; the gradient of the loss with
 * respect to the probe is ∇ĥ_m, and no gradient of a weight is ever computed.
 */
function passStep (network: Network, { rows, lengths }: Pick<PassInputs, 'rows' | 'lengths'>, { sites, pairs, given, logits: wantsLogits, merged, masked, beside, reduction, sum }: StepOptions): Step {
  const definition = definitionOf(network.info.task)
  return tensor => {
    const parameters = parametersOf(network, tensor, merged)
    const outputs: Record<string, tf.Tensor> = {}
    const inputsOf = new Map<string, tf.Tensor2D>() // x of each site
    const besides = besideTap(beside, tensor)
    const kept = (site: Site, x: tf.Tensor2D): tf.Tensor2D => masked.has(site.name) ? tf.mul(x, tensor(maskName(site.name))) : x // [places, in]
    const lossOf = (...probes: tf.Tensor[]): tf.Scalar => {
      const probeOf = new Map(sites.map(({ name }, i) => [name, probes[i] as tf.Tensor2D]))
      const tap: Tap = (site, x, output, product) => {
        const adapted = besides(site, kept(site, x), output, product) // [places, out]
        const probe = probeOf.get(site.name)
        if (probe === undefined) return adapted
        inputsOf.set(site.name, tf.keep(tf.clone(x)))
        for (const what of given) outputs[`${what}.${site.name}`] = tf.keep(tf.clone({ output, product }[what]))
        return tf.add<tf.Tensor2D>(adapted, probe)
      }
      const logits = definition.logits(network, parameters, tensor, tap) // [predictions, classes]
      if (wantsLogits) outputs.logits = tf.keep(tf.clone(logits))
      const losses = lossesOf(logits, tensor) // [predictions]
      outputs.losses = tf.keep(tf.sum(tf.reshape(losses, [rows, -1]), -1)) // [rows]
      return tf.sum(losses)
    }
    try {
      if (sites.length === 0) {
        lossOf()
        return outputs
      }
      const { grads } = tf.valueAndGrads(lossOf)(sites.map(site => tf.zeros(outputShape(site, rows, lengths))))
      for (const [i, site] of sites.entries()) {
        const { name } = site
        const x = inputsOf.get(name)
        if (x === undefined) throw new UnknownSiteError(`the network never came to ${name}`)
        const made = (by: Reduction | undefined, prefix: string): Array<[string, tf.Tensor]> =>
          Object.entries(by?.apply(site, kept(site, x), grads[i] as tf.Tensor2D, <T extends tf.Tensor>(input: string) => tensor<T>(prefix + input)) ?? {})
        for (const [own, result] of made(reduction, REDUCE)) outputs[reducedPrefix(name) + own] = result
        for (const [own, result] of made(sum, SUM)) outputs[summedPrefix(name) + own] = result
        if (pairs) Object.assign(outputs, { [`x.${name}`]: tf.cast(x, 'float32'), [`grad.${name}`]: grads[i] })
      }
      tf.dispose([...inputsOf.values()])
      return outputs
    } catch (error) {
      tf.dispose([outputs, ...inputsOf.values()] as tf.TensorContainer) // they are kept
      throw error
    }
  }
}

/** Of each prediction; their sum is the loss. Targets are integers where it is to choose, floats where it is to come near. */
function lossesOf (logits: tf.Tensor2D, tensor: TensorsByName): tf.Tensor1D {
  const [targets, weights] = [tensor('targets'), tensor('target_weights')].map(own => tf.reshape<tf.Rank.R1>(own, [-1]))
  return targets.dtype === 'int32' ? crossEntropy(logits, targets, weights) : squaredError(logits, targets, weights)
}

function maskName (site: string): string {
  return `mask.${site}`
}

function prefixed (prefix: string, tensors: NamedTensors): Array<[string, TensorData]> {
  return [...tensors].map(([name, tensor]) => [prefix + name, tensor])
}

function tensorNamed (results: NamedTensors<Float32Array>, name: string): FloatTensor {
  const tensor = results.get(name)
  if (tensor === undefined) throw new UnknownSiteError(`the network never came to ${name}`)
  return tensor
}
