import { randomUUID } from 'node:crypto'
import { unlessAborted } from '../../protocols/deadline.js'
import type { StepRequest } from '../../protocols/step/index.js'
import type { Step, StepResult, StepRunner } from './step-runner.js'

/** Says to a host which steps are to be one pass. */
type Group = NonNullable<StepRequest['together']>

/** Where trainings wait for one another. */
interface Gate {
  came: number
  readonly opened: Promise<Group | undefined>
  readonly open: (group: Group | undefined) => void
}

/**
 * Trainings whose steps are one pass at the host: each waits with a step until the others have come to the same one, or have
 * ended. A step that is tried again goes by itself.
 */
export class Together {
  readonly #id = randomUUID()
  readonly #gates = new Map<number, Gate>()
  #members = 0

  /** For a training, until it is left. */
  seat (): Seat {
    this.#members++
    return new Seat(this)
  }

  /** @param step of which nobody who waits has come before */
  async meet (step: number, signal: AbortSignal): Promise<Group | undefined> {
    const gate = this.#gates.get(step) ?? gateOf()
    this.#gates.set(step, gate)
    gate.came++
    this.#look()
    return await unlessAborted(gate.opened, signal)
  }

  leave (): void {
    this.#members--
    this.#look()
  }

  /** Opens the gates at which all are. */
  #look (): void {
    for (const [step, { came, open }] of this.#gates) {
      if (came < this.#members) continue
      this.#gates.delete(step)
      open(came > 1 ? { id: `${this.#id}:${step}`, size: came } : undefined)
    }
  }
}

/** One of several trainings. */
class Seat {
  readonly #together: Together
  #left = false

  constructor (together: Together) {
    this.#together = together
  }

  /** Where the base model runs for its steps. */
  runner (runner: StepRunner): StepRunner {
    let last = -1 // the highest step with which it has come
    const groupOf = async ({ purpose, step }: Step, signal: AbortSignal): Promise<Group | undefined> => {
      if (purpose !== 'train' || step <= last) return undefined
      last = step
      return await this.#together.meet(step, signal)
    }
    return {
      open: async signal => await runner.open(signal),
      recover: async (error, signal) => await runner.recover(error, signal),
      run: async <T>(step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal) => {
        const group = await groupOf(step, signal)
        return await runner.run({ ...step, ...(group && { together: group }) }, use, signal)
      }
    }
  }

  /** The others do not wait for it any more. */
  leave (): void {
    if (this.#left) return
    this.#left = true
    this.#together.leave()
  }
}

function gateOf (): Gate {
  let open: Gate['open'] = () => undefined
  const opened = new Promise<Group | undefined>(resolve => { open = resolve })
  return { came: 0, opened, open }
}
