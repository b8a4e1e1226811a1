import { createHash, webcrypto } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers/promises'

/** Nothing came of what was waited for, and nothing is left that could come. */
class HangError extends Error {
  override readonly name = 'HangError'
}

interface Timer {
  readonly at: number
  readonly work: () => void
}

/** What is to be as it was afterwards. */
interface Replaced {
  readonly owner: object
  readonly name: string
  readonly was: PropertyDescriptor | undefined
}

/** When every run begins, in milliseconds since 1970. */
const BEGIN = Date.UTC(2026, 0, 1)

const turn = setImmediate

/**
 * Time that passes only when nothing is left to do: then the next timer goes off at once. The code that runs in it asks for timers and for the time as
 * ever, and gets these. The same work gives the same run, event for event: what Node would hash on other threads is hashed on this one.
 */
export class VirtualTime {
  #now = 0
  /** By their numbers, in the order in which they were set. */
  readonly #timers = new Map<number, Timer>()
  #last = 0

  /** Milliseconds since the run began. */
  get now (): number { return this.#now }

  /** @returns its number */
  set (work: () => void, milliseconds: number): number {
    this.#timers.set(++this.#last, { at: this.#now + Math.max(0, milliseconds), work })
    return this.#last
  }

  clear (timer: number): void { this.#timers.delete(timer) }

  async delay (milliseconds: number, signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      signal?.throwIfAborted()
      const onAbort = (): void => {
        this.clear(timer)
        reject(signal?.reason as Error)
      }
      const timer = this.set(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, milliseconds)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /**
   * Does work of which every wait is in this time.
   *
   * @param limit in milliseconds
   * @throws {HangError} if it has not ended by then, or waits for nothing that will come
   */
  async run<T> (work: () => Promise<T>, limit: number): Promise<T> {
    const replaced = this.#replace()
    try {
      const result = work()
      const over = new Set<'over'>()
      result.finally(() => over.add('over')).catch(() => {}) // it is told by the result
      for (;;) {
        await new Promise<void>(resolve => { turn(resolve) }) // all that waits for no timer is done then
        if (over.size > 0) return await result
        this.#goOff(limit)
      }
    } finally {
      for (const { owner, name, was } of replaced.reverse()) {
        if (was === undefined) Reflect.deleteProperty(owner, name)
        else Object.defineProperty(owner, name, was)
      }
      syncBuiltinESMExports()
    }
  }

  #goOff (limit: number): void {
    let [number, next]: [number, Timer | undefined] = [0, undefined]
    for (const [each, timer] of this.#timers) {
      if (next === undefined || timer.at < next.at) [number, next] = [each, timer]
    }
    if (next === undefined) throw new HangError(`at ${this.#now} ms nothing is under way any more`)
    if (next.at > limit) throw new HangError(`it has not ended within ${limit} ms`)
    this.#timers.delete(number)
    this.#now = next.at
    next.work()
  }

  #replace (): Replaced[] {
    const replaced: Replaced[] = []
    const replace = (owner: object, name: string, value: unknown): void => {
      replaced.push({ owner, name, was: Object.getOwnPropertyDescriptor(owner, name) })
      Object.defineProperty(owner, name, { configurable: true, writable: true, value })
    }
    const setTimer = (work: (...args: unknown[]) => void, milliseconds = 0, ...args: unknown[]): VirtualTimer => new VirtualTimer(this, this.set(() => work(...args), milliseconds))
    replace(globalThis, 'setTimeout', setTimer)
    replace(globalThis, 'clearTimeout', (timer?: VirtualTimer) => timer?.clear())
    replace(Date, 'now', () => BEGIN + this.#now)
    replace(performance, 'now', () => this.#now)
    replace(AbortSignal, 'timeout', (milliseconds: number) => {
      const controller = new AbortController()
      this.set(() => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), milliseconds)
      return controller.signal
    })
    replace(timers, 'setTimeout', async (milliseconds: number, _: unknown, { signal }: { signal?: AbortSignal } = {}) => { await this.delay(milliseconds, signal) })
    replace(webcrypto.subtle, 'digest', async (_: string, bytes: Uint8Array) => await Promise.resolve(createHash('sha256').update(bytes).digest()))
    syncBuiltinESMExports()
    return replaced
  }
}

/** What `setTimeout` gives. */
class VirtualTimer {
  readonly #time: VirtualTime
  readonly #number: number

  constructor (time: VirtualTime, number: number) {
    this.#time = time
    this.#number = number
  }

  clear (): void { this.#time.clear(this.#number) }
  ref (): this { return this }
  unref (): this { return this }
}
