import * as tf from '@tensorflow/tfjs'
import { rankAt, scaleAt } from '../auxiliary-spec.js'
import { matrixInput } from '../engine/matrix-input.js'
import { matrixProduct } from '../engine/matrix-product.js'
import { InvalidAdapterError, InvalidTensorError } from '../errors.js'
import type { AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site } from '../types.js'
import { Auxiliary, type AuxiliaryStart } from './auxiliary.js'
import { asVariable, type FittedAuxiliary } from './fitted-auxiliary.js'
import { asColumns } from './products.js'
import { squaredNormsOfSums } from './row-norms.js'

export const COMPOSITIONS = ['sum', 'learned'] as const
/**
 * How earlier auxiliaries stand beside the one that is fitted: as they are, or each times a number that is learned with it, one at
 * each site, from 1.
 */
export type Composition = typeof COMPOSITIONS[number]

/** A low-rank auxiliary of one site that stands still. */
export interface FrozenFactors {
  /** α, see `scaleAt`. */
  readonly scale: number
  /** `[r, in]` */
  readonly a: FloatTensor
  /** `[out, r]` */
  readonly b: FloatTensor
}

/** Name of the parameter that holds the learned numbers, `[earlier]`. */
const WEIGHTS = 'weights'

/**
 * A low-rank auxiliary that is fitted beside earlier ones, which stand still: g = B·A·x + Σ c_k·(α_k/α)·B_k·A_k·x. As one whole
 * it is low-rank too, and that is what runs beside the base model. What is learned are A, B and, where they are, the c_k, whose
 * gradients follow from the same (x, ∇ĥ): ∂L/∂c_k = Σ_t ⟨∇ĥ_t, α_k·B_k·A_k·x_t⟩.
 */
export class ComposedAuxiliary implements FittedAuxiliary {
  readonly #own: Auxiliary
  readonly #earlier: readonly FrozenFactors[]
  readonly #weights: tf.Variable | undefined

  /**
   * @param spec of the one that is fitted, low-rank
   * @param start of the one that is fitted, and of the learned numbers
   * @throws what `Auxiliary` throws
   */
  constructor (spec: AuxiliarySpec, site: Site, start: AuxiliaryStart, earlier: readonly FrozenFactors[], composition: Composition) {
    const { own, weights } = separate(start)
    if (composition === 'learned') checkWeights(weights, earlier.length, site)
    this.#own = new Auxiliary(spec, site, own)
    this.#earlier = earlier
    this.#weights = composition === 'learned' ? asVariable(weights ?? { shape: [earlier.length], values: new Float32Array(earlier.length).fill(1) }) : undefined
  }

  get site (): Site { return this.#own.site }

  get parameters (): ReadonlyMap<string, tf.Variable> {
    return new Map([...this.#own.parameters, ...(this.#weights === undefined ? [] : [[WEIGHTS, this.#weights] as const])])
  }

  /** See `Auxiliary.gradients`. */
  gradients (x: tf.Tensor2D, gradient: tf.Tensor2D): Map<string, tf.Tensor> {
    const gradients = this.#own.gradients(x, gradient)
    if (this.#weights !== undefined) {
      gradients.set(WEIGHTS, tf.tidy(() => tf.sum(this.#towardsWeights(this.site, matrixInput(this.site, x), gradient), 0)))
    }
    return gradients
  }

  /** See `Auxiliary.ofProduct`. */
  ofProduct (product: tf.Tensor2D): Map<string, tf.Tensor> {
    const gradients = this.#own.ofProduct(product)
    if (this.#weights !== undefined) {
      gradients.set(WEIGHTS, tf.tidy(() => {
        const { site, x, gradient } = asColumns(this.site, product)
        return tf.sum(this.#towardsWeights(site, x, gradient), 0)
      }))
    }
    return gradients
  }

  /** See `Auxiliary.squaredNorms`. */
  squaredNorms (x: tf.Tensor2D, gradient: tf.Tensor2D, rows: number): tf.Tensor1D {
    return tf.tidy(() => {
      const own = this.#own.squaredNorms(x, gradient, rows)
      if (this.#weights === undefined) return own
      const byRow: tf.Tensor3D = tf.reshape(this.#towardsWeights(this.site, matrixInput(this.site, x), gradient), [rows, -1, this.#earlier.length])
      return tf.add(own, squaredNormsOfSums(byRow))
    })
  }

  /** See `Auxiliary.scaled`; the gradients are those of the whole's factors. */
  scaled (gradients: AuxiliaryTensors): Map<string, tf.Tensor> {
    const [a, b] = [factor(gradients, 'lora_A.weight', this.site), factor(gradients, 'lora_B.weight', this.site)]
    const [rank] = this.#own.parameters.get('lora_A.weight')?.shape ?? [0]
    const result = this.#own.scaled(new Map([['lora_A.weight', someRows(a, 0, rank)], ['lora_B.weight', someColumns(b, 0, rank)]]))
    if (this.#weights !== undefined) {
      let first = rank
      const sums = this.#earlier.map(({ b: frozen, scale }) => {
        const block = someColumns(b, first, frozen.shape[1])
        first += frozen.shape[1]
        return scale * block.values.reduce((sum, value, i) => sum + value * frozen.values[i], 0)
      })
      result.set(WEIGHTS, tf.tensor1d(sums))
    }
    return result
  }

  check (tensors: AuxiliaryTensors): void {
    const { own, weights } = separate({ tensors })
    this.#own.check('tensors' in own ? own.tensors : new Map())
    if (this.#weights !== undefined) checkWeights(weights, this.#earlier.length, this.site)
  }

  assign (tensors: AuxiliaryTensors): void {
    this.check(tensors)
    const { own, weights } = separate({ tensors })
    this.#own.assign('tensors' in own ? own.tensors : new Map())
    if (weights !== undefined) tf.tidy(() => this.#weights?.assign(tf.tensor1d(weights.values.slice())))
  }

  async toTensors (): Promise<AuxiliaryTensors> {
    const own = await this.#own.toTensors()
    if (this.#weights === undefined) return own
    return new Map([...own, [WEIGHTS, { shape: this.#weights.shape, values: (await this.#weights.data<'float32'>()).slice() }]])
  }

  /** The whole as low-rank factors, whose α is that of the one that is fitted: A `[R, in]`, B `[out, R]`. */
  async contributed (): Promise<AuxiliaryTensors> {
    const own = await this.toTensors()
    const [a, b] = [factor(own, 'lora_A.weight', this.site), factor(own, 'lora_B.weight', this.site)]
    const weights = own.get(WEIGHTS)?.values
    const parts = [{ a, b, factor: 1 }, ...this.#earlier.map((earlier, k) => ({ ...earlier, factor: (weights?.[k] ?? 1) * earlier.scale / this.#own.scale }))]
    return new Map([['lora_A.weight', below(parts.map(part => part.a))], ['lora_B.weight', besides(parts)]])
  }

  dispose (): void {
    this.#own.dispose()
    this.#weights?.dispose()
  }

  /** ⟨∇ĥ_t, α_k·B_k·A_k·x_t⟩, `[places, earlier]`. @param input what the matrix of `site` multiplies */
  #towardsWeights (site: Site, input: tf.Tensor2D, gradient: tf.Tensor2D): tf.Tensor2D {
    return tf.stack(this.#earlier.map(({ a, b, scale }) => {
      const inner = matrixProduct(site, input, tf.tensor2d(a.values, a.shape as [number, number])) // [places, r]
      const back = tf.matMul(gradient, tf.tensor2d(b.values, b.shape as [number, number])) // [places, r]
      return tf.mul(tf.sum(tf.mul(inner, back), -1), scale)
    }), 1) as tf.Tensor2D
  }
}

/**
 * The spec of the whole: ranks of all together at each site, α that of the one that is fitted.
 *
 * @param earlier of each site, by its name
 */
export function composedSpec (spec: AuxiliarySpec, earlier: ReadonlyMap<string, readonly FrozenFactors[]>): AuxiliarySpec {
  const wholes = [...earlier].map(([site, parts]) => ({
    site, scale: scaleAt(spec, site), rank: parts.reduce((sum, { a }) => sum + a.shape[0], rankAt(spec, site))
  }))
  return {
    kind: 'low-rank',
    rank: spec.rank,
    alpha: spec.alpha,
    ranks: Object.fromEntries(wholes.map(({ site, rank }) => [site, rank])),
    alphas: Object.fromEntries(wholes.map(({ site, rank, scale }) => [site, scale * rank]))
  }
}

function separate (start: AuxiliaryStart): { own: AuxiliaryStart, weights: FloatTensor | undefined } {
  if (!('tensors' in start)) return { own: start, weights: undefined }
  const weights = start.tensors.get(WEIGHTS)
  return { own: { tensors: new Map([...start.tensors].filter(([name]) => name !== WEIGHTS)) }, weights }
}

/** None are a start. */
function checkWeights (weights: FloatTensor | undefined, count: number, site: Site): void {
  if (weights !== undefined && weights.shape.join() !== String(count)) {
    throw new InvalidAdapterError(`${site.name}.${WEIGHTS} is [${weights.shape.join(', ')}], it must be [${count}], one for each earlier auxiliary`)
  }
}

function factor (tensors: AuxiliaryTensors, name: string, site: Site): FloatTensor {
  const tensor = tensors.get(name)
  if (tensor?.shape.length !== 2) throw new InvalidTensorError(`${site.name} has no ${name}; there are ${[...tensors.keys()].join(', ')}`)
  return tensor
}

function someRows ({ shape: [, columns], values }: FloatTensor, first: number, count: number): FloatTensor {
  return { shape: [count, columns], values: values.slice(first * columns, (first + count) * columns) }
}

function someColumns ({ shape: [rows, columns], values }: FloatTensor, first: number, count: number): FloatTensor {
  const cut = new Float32Array(rows * count)
  for (let row = 0; row < rows; row++) cut.set(values.subarray(row * columns + first, row * columns + first + count), row * count)
  return { shape: [rows, count], values: cut }
}

function below (tensors: readonly FloatTensor[]): FloatTensor {
  const rows = tensors.reduce((sum, { shape }) => sum + shape[0], 0)
  const [{ shape: [, columns] }] = tensors
  const values = new Float32Array(rows * columns)
  let begin = 0
  for (const tensor of tensors) {
    values.set(tensor.values, begin)
    begin += tensor.values.length
  }
  return { shape: [rows, columns], values }
}

/** Columns beside one another, each part's times its factor. */
function besides (parts: ReadonlyArray<{ readonly b: FloatTensor, readonly factor: number }>): FloatTensor {
  const [{ b: { shape: [rows] } }] = parts
  const columns = parts.reduce((sum, { b }) => sum + b.shape[1], 0)
  const values = new Float32Array(rows * columns)
  let first = 0
  for (const { b: { shape: [, own], values: part }, factor } of parts) {
    for (let row = 0; row < rows; row++) {
      for (let r = 0; r < own; r++) values[row * columns + first + r] = factor * part[row * own + r]
    }
    first += own
  }
  return { shape: [rows, columns], values }
}
