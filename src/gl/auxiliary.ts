import { createHash } from 'node:crypto'
import * as tf from '@tensorflow/tfjs'
import { isMergeableKind, outerScaleAt, rankAt, scaleAt } from '../auxiliary-spec.js'
import { matrixInput } from '../engine/matrix-input.js'
import { InvalidAdapterError, InvalidOptionError, InvalidTensorError } from '../errors.js'
import type { AuxiliaryKind, AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site } from '../types.js'
import type { AuxiliaryDefinition, SeenBeside } from './auxiliary-definition.js'
import { dora } from './dora.js'
import type { FittedAuxiliary } from './fitted-auxiliary.js'
import { ia3 } from './ia3.js'
import { linear } from './linear.js'
import { lowRank } from './low-rank.js'
import { mlp } from './mlp.js'
import { asColumns } from './products.js'
import { squaredNormsRowByRow } from './row-norms.js'

const DEFINITIONS: Record<AuxiliaryKind, AuxiliaryDefinition> = { 'low-rank': lowRank, linear, mlp, ia3, dora }

/** Where the values of an auxiliary come from: a seed, with the norms of the rows of W `[out]` for DoRA, or an earlier state. */
export type AuxiliaryStart = { readonly seed: number, readonly norm?: FloatTensor } | { readonly tensors: AuxiliaryTensors }

/**
 * g_w, the small model beside one site of the base model: ĥ = f(x) + α·g_w(x) (arXiv 2404.13844, section 3). It gives
 * 0 at the start. Its parameters are variables, which belong to it until `dispose`.
 */
export class Auxiliary implements FittedAuxiliary {
  readonly site: Site
  /** What g is multiplied by, see `outerScaleAt`. */
  readonly scale: number
  /** α of the equations, see `scaleAt`. */
  readonly #alpha: number
  /** Trainable tensors by PEFT's names. */
  readonly parameters: ReadonlyMap<string, tf.Variable>
  readonly #kind: AuxiliaryKind
  readonly #definition: AuxiliaryDefinition

  /**
   * @throws {InvalidOptionError} if rank or alpha make no sense, or there are no such auxiliaries at such a site
   * @throws {InvalidAdapterError} if start tensors are not those of this kind, in their shapes
   */
  constructor (spec: AuxiliarySpec, site: Site, start: AuxiliaryStart) {
    checkSpec(spec)
    this.site = site
    this.scale = outerScaleAt(spec, site.name)
    this.#alpha = scaleAt(spec, site.name)
    this.#kind = spec.kind
    this.#definition = DEFINITIONS[spec.kind]
    const rank = rankAt(spec, site.name)
    const shapes = this.#definition.shapes(site, rank)
    const values = 'tensors' in start
      ? fromRest(start.tensors, shapes, site)
      : this.#definition.initial(site, rank, siteSeed(start.seed, site.name), start.norm)
    this.parameters = new Map([...shapes.keys()].map((name, i) => [name, tf.variable(values[i])]))
    tf.dispose(values)
  }

  /**
   * J_wᵀ·α·∇ĥ for every parameter: the gradient of the Gradient Learning loss ½·Σ‖g_w(x) − sg[g_w(x) − α∇ĥ]‖² at w
   * (arXiv 2404.13844, equation 6). The residual is injected as it came, and never formed as a difference, which would
   * lose digits. The tensors belong to the caller.
   *
   * @param x see `SitePair`
   * @param gradient ∇ĥ `[places, out]`
   * @throws {InvalidTensorError} if its kind needs to see more
   */
  gradients (x: tf.Tensor2D, gradient: tf.Tensor2D, seen: SeenBeside = {}): Map<string, tf.Tensor> {
    return this.#named(() => this.#gradients(this.site, matrixInput(this.site, x), gradient, seen))
  }

  /**
   * The same from all that pairs do to a g that is linear in x. The tensors belong to the caller.
   *
   * @param product G = Σ_t ∇ĥ_t·x_tᵀ `[out, in]`
   * @throws {InvalidTensorError} if g is not linear in x
   */
  ofProduct (product: tf.Tensor2D): Map<string, tf.Tensor> {
    if (!isMergeableKind(this.#kind)) throw new InvalidTensorError(`${this.site.name}: ${this.#kind} auxiliaries are not fitted from sums of ∇ĥ·xᵀ; they need x and ∇ĥ`)
    return this.#named(() => {
      const { site, x, gradient } = asColumns(this.site, product)
      return this.#gradients(site, x, gradient, {})
    })
  }

  /** @param input what the matrix of `site` multiplies */
  #gradients (site: Site, input: tf.Tensor2D, gradient: tf.Tensor2D, seen: SeenBeside): tf.Tensor[] {
    return tf.grads((...w) => this.#definition.apply(site, input, w, { ...seen, scale: this.#alpha }))([...this.parameters.values()], tf.mul(gradient, this.scale))
  }

  #named (gradients: () => tf.Tensor[]): Map<string, tf.Tensor> {
    const made = tf.tidy(gradients)
    return new Map([...this.parameters.keys()].map((name, i) => [name, made[i]]))
  }

  /**
   * The same from J_wᵀ∇ĥ by parameter, which lacks the α. The tensors belong to the caller.
   *
   * @throws {InvalidTensorError} if they have other names or shapes than the parameters
   */
  scaled (gradients: AuxiliaryTensors): Map<string, tf.Tensor> {
    checkTensors(gradients, this.#shapes(), this.site, InvalidTensorError)
    return new Map([...this.parameters.keys()].map(name => {
      const { shape, values } = gradients.get(name) ?? { shape: [], values: new Float32Array() }
      return [name, tf.tidy(() => tf.mul(tf.tensor(values, [...shape]), this.scale))]
    }))
  }

  /**
   * ‖J_wᵀ·α·∇ĥ‖² of each row of a batch by itself, over all parameters, `[rows]`. The tensor belongs to the caller.
   *
   * @param x see `SitePair`
   * @param gradient ∇ĥ `[places, out]`
   */
  squaredNorms (x: tf.Tensor2D, gradient: tf.Tensor2D, rows: number, seen: SeenBeside = {}): tf.Tensor1D {
    return tf.tidy(() => {
      const { squaredNorms = squaredNormsRowByRow(this.#definition) } = this.#definition
      const byRow: tf.Tensor3D = tf.reshape(gradient, [rows, -1, gradient.shape[1]]) // [rows, places, out]
      return tf.mul(squaredNorms(this.site, matrixInput(this.site, x), byRow, [...this.parameters.values()], { ...seen, scale: this.#alpha }), this.scale ** 2)
    })
  }

  /** Whether `assign` will take them. @throws {InvalidAdapterError} if they have other names or shapes */
  check (tensors: AuxiliaryTensors): void {
    checkTensors(tensors, this.#shapes(), this.site)
  }

  /** Goes on from other values. @throws {InvalidAdapterError} if they have other names or shapes */
  assign (tensors: AuxiliaryTensors): void {
    const values = fromRest(tensors, this.#shapes(), this.site)
    for (const [i, variable] of [...this.parameters.values()].entries()) variable.assign(values[i])
    tf.dispose(values)
  }

  async toTensors (): Promise<AuxiliaryTensors> {
    const entries = [...this.parameters].map(async ([name, variable]) =>
      [name, { shape: variable.shape, values: (await variable.data<'float32'>()).slice() }] as const)
    return new Map(await Promise.all(entries))
  }

  async contributed (): Promise<AuxiliaryTensors> {
    return await this.toTensors()
  }

  dispose (): void {
    tf.dispose([...this.parameters.values()])
  }

  #shapes (): Map<string, readonly number[]> {
    return new Map([...this.parameters].map(([name, { shape }]) => [name, shape]))
  }
}

/**
 * α·g_w(x), as a pure function: x `[places, in]`, as `matrixInput` gives it → `[places, out]`.
 *
 * @param parameters in the order of their names in `parameterShapes`
 * @param scale what g is multiplied by, also as a tensor `[1]` @default that of the spec, see `outerScaleAt`
 */
export function applyAuxiliary (
  spec: AuxiliarySpec, site: Site, x: tf.Tensor2D, parameters: readonly tf.Tensor[], seen: SeenBeside = {}, scale: number | tf.Tensor = outerScaleAt(spec, site.name)
): tf.Tensor2D {
  return tf.mul(DEFINITIONS[spec.kind].apply(site, x, parameters, { ...seen, scale: scaleAt(spec, site.name) }), scale)
}

/** Names and shapes of the parameters that `spec` gives a site. @throws {InvalidOptionError} */
export function parameterShapes (spec: AuxiliarySpec, site: Site): ReadonlyMap<string, readonly number[]> {
  checkSpec(spec)
  return DEFINITIONS[spec.kind].shapes(site, rankAt(spec, site.name))
}

function checkSpec ({ kind, rank, alpha, ranks, alphas, dropout = 0 }: AuxiliarySpec): void {
  if (!(dropout >= 0 && dropout < 1)) throw new InvalidOptionError(`a dropout of ${dropout} is not possible; use a number from 0 and below 1`)
  if (dropout > 0 && kind === 'ia3') throw new InvalidOptionError(`${kind} auxiliaries are a function of what the module gives, and have no x to drop values of; use no dropout`)
  for (const own of [rank, ...Object.values(ranks ?? {})]) {
    if (!Number.isSafeInteger(own) || own < 1) throw new InvalidOptionError(`rank ${own} is not possible; use a whole number from 1`)
  }
  for (const own of [alpha, ...Object.values(alphas ?? {})]) {
    if (!Number.isFinite(own) || own <= 0) throw new InvalidOptionError(`alpha ${own} is not possible; use a number above 0`)
  }
}

/** Every site starts elsewhere, everywhere alike. */
function siteSeed (seed: number, site: string): number {
  return createHash('sha256').update(`${seed}:${site}`).digest().readUInt32LE()
}

function fromRest (tensors: AuxiliaryTensors, shapes: ReadonlyMap<string, readonly number[]>, site: Site): tf.Tensor[] {
  checkTensors(tensors, shapes, site)
  return [...shapes].map(([name, shape]) => tf.tensor(tensors.get(name)?.values.slice() ?? [], [...shape]))
}

function checkTensors (tensors: AuxiliaryTensors, shapes: ReadonlyMap<string, readonly number[]>, site: Site, Invalid: new (message: string) => Error = InvalidAdapterError): void {
  for (const [name, shape] of shapes) {
    const found = tensors.get(name)
    if (found?.shape.join() !== shape.join()) {
      throw new Invalid(`${site.name}.${name} is ${found === undefined ? 'missing' : `[${found.shape.join(', ')}]`}, it must be [${shape.join(', ')}]`)
    }
  }
  const others = [...tensors.keys()].filter(name => !shapes.has(name))
  if (others.length > 0) {
    throw new Invalid(`${site.name} has ${others.join(', ')}, this kind of auxiliary has ${[...shapes.keys()].join(', ')}`)
  }
}
