import * as tf from '@tensorflow/tfjs'
import { InvalidAdapterError, InvalidOptionError } from '../errors.js'
import type { FloatTensor, NamedTensors, TensorData } from '../types.js'
import { adafactor } from './adafactor.js'
import { adamw } from './adamw.js'
import { lion } from './lion.js'
import { sgd } from './sgd.js'
import type { UpdateRule } from './update-rule.js'

export const OPTIMIZERS = ['adamw', 'sgd', 'adafactor', 'lion'] as const
export type OptimizerKind = typeof OPTIMIZERS[number]

/** By weight decay. */
const RULES: Record<OptimizerKind, (weightDecay: number) => UpdateRule> = { adamw, sgd, adafactor, lion }

const STEP = 'step'

/** Applies an update rule to named parameters. Its state can be saved and restored, bit for bit. */
export class Optimizer {
  readonly #rule: UpdateRule
  readonly #slots = new Map<string, tf.Variable>()
  #step = 0

  /**
   * @param weightDecay decoupled, or added to the gradient (SGD), as in PyTorch
   * @throws {InvalidOptionError}
   */
  constructor (kind: OptimizerKind, weightDecay: number) {
    if (!Number.isFinite(weightDecay) || weightDecay < 0) {
      throw new InvalidOptionError(`weight decay ${weightDecay} is not possible; use a number from 0`)
    }
    this.#rule = RULES[kind](weightDecay)
  }

  /** One step of every parameter. Parameters are changed in place. */
  update (parameters: ReadonlyMap<string, tf.Variable>, gradients: ReadonlyMap<string, tf.Tensor>, rate: number): void {
    this.#step++
    for (const [name, gradient] of gradients) {
      const variable = parameters.get(name)
      if (variable === undefined) throw new InvalidAdapterError(`there is a gradient but no parameter ${name}`)
      tf.tidy(() => {
        const slots = [...this.#rule.slots(variable.shape)].map(([slot, shape]) => this.#slot(`${name}.${slot}`, shape))
        const next = this.#rule.update(variable, gradient, slots, rate, this.#step)
        for (const [i, slot] of slots.entries()) slot.assign(next.slots[i])
        variable.assign(next.parameter)
      })
    }
  }

  async state (): Promise<NamedTensors> {
    const slots = await Promise.all([...this.#slots].map(async ([name, slot]) =>
      [name, { shape: slot.shape, values: (await slot.data<'float32'>()).slice() }] as const))
    return new Map<string, TensorData>([[STEP, { shape: [1], values: Int32Array.of(this.#step) }], ...slots])
  }

  restore (state: NamedTensors): void {
    this.dispose()
    this.#step = state.get(STEP)?.values[0] ?? 0
    for (const [name, tensor] of state) {
      if (name === STEP) continue
      const { shape, values } = tensor as FloatTensor
      this.#slots.set(name, tf.tidy(() => tf.variable(tf.tensor(values.slice(), [...shape]))))
    }
  }

  dispose (): void {
    tf.dispose([...this.#slots.values()])
    this.#slots.clear()
  }

  #slot (name: string, shape: readonly number[]): tf.Variable {
    const slot = this.#slots.get(name) ?? tf.variable<tf.Rank>(tf.zeros([...shape]))
    this.#slots.set(name, slot)
    return slot
  }
}
