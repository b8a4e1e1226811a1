import { setMaxListeners } from 'node:events'
import { unlessAborted } from '../../protocols/deadline.js'

/** Ends when all earlier ones are done. */
export type Turn = () => Promise<void>

/** Work that is under way at once, and that has its turn one after the other, in the order in which it was begun. */
export class Pipeline<T> {
  readonly #over = new AbortController()
  readonly #signal: AbortSignal
  readonly #running: Array<{ readonly go: () => void, readonly done: Promise<T> }> = []

  /** @param signal ends all of it */
  constructor (signal: AbortSignal) {
    this.#signal = AbortSignal.any([signal, this.#over.signal])
    setMaxListeners(0, this.#signal) // some of each that is under way
  }

  /** How many are under way. */
  get length (): number { return this.#running.length }

  begin (work: (turn: Turn, signal: AbortSignal) => Promise<T>): void {
    let go = (): void => {}
    const free = new Promise<void>(resolve => { go = resolve })
    const done = work(async () => await unlessAborted(free, this.#signal), this.#signal)
    done.catch(() => {}) // it is told when it is its turn
    this.#running.push({ go, done })
  }

  /** Gives the first its turn, and what comes of it. @throws what it throws */
  async next (): Promise<T> {
    const [{ go, done }] = this.#running
    go()
    try {
      return await done
    } finally {
      this.#running.shift()
    }
  }

  /** Ends what is still under way. */
  async close (): Promise<void> {
    this.#over.abort()
    await Promise.allSettled(this.#running.map(async ({ done }) => await done))
  }
}
