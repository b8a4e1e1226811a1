import { TimeoutError } from '@libp2p/interface'

/**
 * A signal that ends with another one, or when nothing has touched it for a while.
 *
 * It stands where `AbortSignal.any([signal, AbortSignal.timeout(…)])` would: in Node 20 the garbage collector takes
 * the timeout away from such a signal, which then never ends (nodejs/node#57736).
 */
export class Deadline {
  readonly #controller = new AbortController()
  readonly #timeout: number
  readonly #waitingFor: string
  readonly #parent: AbortSignal | undefined
  #timer: NodeJS.Timeout | undefined

  /**
   * @param timeout in milliseconds
   * @param waitingFor what is said to have taken too long
   */
  constructor (timeout: number, waitingFor: string, parent?: AbortSignal) {
    this.#timeout = timeout
    this.#waitingFor = waitingFor
    this.#parent = parent
    this.touch()
    parent?.addEventListener('abort', this.#onParent)
    if (parent?.aborted === true) this.#onParent()
  }

  get signal (): AbortSignal {
    return this.#controller.signal
  }

  /** Starts the time anew. */
  touch (): void {
    this.pause()
    if (!this.signal.aborted) this.#timer = setTimeout(this.#onTimeout, this.#timeout)
  }

  /** Stops the time until the next touch. */
  pause (): void {
    clearTimeout(this.#timer)
  }

  /** Ends it now. */
  abort (reason: Error): void {
    this.clear()
    this.#controller.abort(reason)
  }

  /** What was waited for has come: it holds on to nothing any more. */
  clear (): void {
    this.pause()
    this.#parent?.removeEventListener('abort', this.#onParent)
  }

  readonly #onTimeout = (): void => {
    this.abort(new TimeoutError(`${this.#waitingFor}: nothing within ${this.#timeout} ms`))
  }

  readonly #onParent = (): void => {
    this.abort(this.#parent?.reason as Error)
  }
}

/** What the promise gives, unless the signal ends first: then its reason. The work behind the promise goes on. */
export async function unlessAborted<T> (promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
