import { setTimeout as delay } from 'node:timers/promises'
import { DownloadError } from '../errors.js'

/** What goes wrong now, and may go well a moment later. */
export class TransientError extends Error {
  override readonly name = 'TransientError'
  /** The least time to wait, in milliseconds, where the server says one. */
  readonly wait: number

  constructor (message: string, { wait = 0, cause }: { readonly wait?: number, readonly cause?: unknown } = {}) {
    super(message, { cause })
    this.wait = wait
  }
}

export interface Retries {
  /** Waits before the second try, the third and so on, in milliseconds. */
  readonly delays: readonly number[]
  readonly signal: AbortSignal
  /** Is told what went wrong before each wait. */
  readonly log: (line: string) => void
}

/**
 * Does the work again where it ended with a `TransientError`.
 *
 * @param work calls `forward` when something has come of it: then the tries are counted anew
 * @throws {DownloadError} after the last try
 */
export async function retrying<T> (work: (forward: () => void) => Promise<T>, { delays, signal, log }: Retries): Promise<T> {
  let failures = 0
  const forward = (): void => { failures = 0 }
  for (;;) {
    try {
      return await work(forward)
    } catch (error) {
      if (!(error instanceof TransientError)) throw error
      if (failures >= delays.length) {
        throw new DownloadError(`${error.message}, also at the last of ${failures + 1} tries; what has come stays, and the same call goes on from there`, { cause: error })
      }
      const wait = Math.max(delays[failures++], error.wait)
      log(`${error.message}; trying again in ${Math.ceil(wait / 1000)} s`)
      await delay(wait, undefined, { signal })
    }
  }
}
