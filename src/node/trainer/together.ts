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

  /** Belongs to a training from now on, until it is left. */
  join (runner: StepRunner): TogetherRunner {
    this.#members++
    return new TogetherRunner(runner, this)
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

/** Where the base model runs for one of several trainings. */
export class TogetherRunner implements StepRunner {
  readonly #runner: StepRunner
  readonly #together: Together
  /** The highest step with which it has come. */
  #last = -1
  #left = false

  constructor (runner: StepRunner, together: Together) {
    this.#runner = runner
    this.#together = together
  }

  async open (signal: AbortSignal): Promise<void> {
    await this.#runner.open(signal)
  }

  async run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const group = await this.#groupOf(step, signal)
    return await this.#runner.run({ ...step, ...(group && { together: group }) }, use, signal)
  }

  async recover (error: Error, signal: AbortSignal): Promise<void> {
    await this.#runner.recover(error, signal)
  }

  /** The others do not wait for this one any more. */
  leave (): void {
    if (this.#left) return
    this.#left = true
    this.#together.leave()
  }

  async #groupOf ({ purpose, step }: Step, signal: AbortSignal): Promise<Group | undefined> {
    if (purpose !== 'train' || step <= this.#last) return undefined
    this.#last = step
    return await this.#together.meet(step, signal)
  }
}

function gateOf (): Gate {
  let open: Gate['open'] = () => undefined
  const opened = new Promise<Group | undefined>(resolve => { open = resolve })
  return { came: 0, opened, open }
}
