import * as tf from '@tensorflow/tfjs'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import type { Optimizer } from '../../src/gl/optimizer.js'
import type { Schedule } from '../../src/gl/schedule.js'
import type { AuxiliarySpec, NamedTensors, Site } from '../../src/types.js'
import { parameterName } from './back-propagation.js'

export interface OrdinaryLearnerInit {
  /** What is trained begins as this, by name. */
  readonly start: NamedTensors<Float32Array>
  /** Belongs to the learner. */
  readonly optimizer: Optimizer
  readonly schedule: Schedule
  /** Batches whose gradients are summed before a step. */
  readonly interval: number
}

/** Ordinary training's other half of a step: an optimiser, and what it moves. */
export class OrdinaryLearner {
  readonly #variables: ReadonlyMap<string, tf.Variable>
  readonly #optimizer: Optimizer
  readonly #schedule: Schedule
  readonly #interval: number
  readonly #sums = new Map<string, tf.Tensor>()
  #gathered = 0
  #steps = 0

  constructor ({ start, optimizer, schedule, interval }: OrdinaryLearnerInit) {
    this.#variables = new Map([...start].map(([name, { shape, values }]) => [name, tf.tidy(() => tf.variable(tf.tensor(values.slice(), [...shape])))]))
    this.#optimizer = optimizer
    this.#schedule = schedule
    this.#interval = interval
  }

  /** Takes the gradients of a batch, times a factor. */
  take (gradients: NamedTensors<Float32Array>, factor: number): void {
    for (const [name, { shape, values }] of gradients) {
      const before = this.#sums.get(name)
      this.#sums.set(name, tf.tidy(() => {
        const own = tf.mul(tf.tensor(values, [...shape]), factor)
        return before === undefined ? own : tf.add(before, own)
      }))
      before?.dispose()
    }
    this.#gathered++
  }

  /** Moves what is trained once the interval is full, or if it is the last. @returns whether it did */
  step (last: boolean): boolean {
    if (this.#gathered < this.#interval && !last) return false
    this.#optimizer.update(this.#variables, this.#sums, this.#schedule(this.#steps++))
    tf.dispose([...this.#sums.values()])
    this.#sums.clear()
    this.#gathered = 0
    return true
  }

  async values (): Promise<NamedTensors<Float32Array>> {
    return new Map(await Promise.all([...this.#variables].map(async ([name, variable]) =>
      [name, { shape: variable.shape, values: (await variable.data<'float32'>()).slice() }] as const)))
  }

  /** Goes on from other values. */
  assign (values: NamedTensors<Float32Array>): void {
    for (const [name, { shape, values: own }] of values) {
      const tensor = tf.tensor(own.slice(), [...shape])
      this.#variables.get(name)?.assign(tensor)
      tensor.dispose()
    }
  }

  dispose (): void {
    tf.dispose([...this.#variables.values(), ...this.#sums.values()])
    this.#optimizer.dispose()
  }
}

/** Where auxiliaries begin: all that back-propagation and Gradient Learning have in common but the optimiser. */
export async function startOf (spec: AuxiliarySpec, sites: readonly Site[], seed: number): Promise<NamedTensors<Float32Array>> {
  const auxiliaries = sites.map(site => new Auxiliary(spec, site, { seed }))
  try {
    const entries = await Promise.all(auxiliaries.map(async auxiliary => [...await auxiliary.toTensors()].map(([name, tensor]) => [parameterName(auxiliary.site.name, name), tensor] as const)))
    return new Map(entries.flat())
  } finally {
    for (const auxiliary of auxiliaries) auxiliary.dispose()
  }
}
