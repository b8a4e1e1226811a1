import { buffer } from 'node:stream/consumers'
import type { HubAccess } from './access.js'
import { refusal, type RepositoryName } from './refusal.js'
import { type Retries, retrying, TransientError } from './retrying.js'

/** The longest without a byte, in milliseconds: a server that is well answers at once, a line that is gone says nothing. */
const IDLE_TIMEOUT = 30_000

/** Waits between tries, in milliseconds: half a minute in all, in which a router starts anew. */
const RETRY_DELAYS = [1_000, 2_000, 4_000, 8_000, 16_000]

export interface ConnectionInit {
  readonly access: HubAccess
  readonly repository: RepositoryName
  readonly signal: AbortSignal
  /** Is told of tries that failed. */
  readonly log: (line: string) => void
  /** The longest without a byte, in milliseconds. @default 30_000 */
  readonly idleTimeout?: number
  /** Waits between tries, in milliseconds. @default [1_000, 2_000, 4_000, 8_000, 16_000] */
  readonly retryDelays?: readonly number[]
}

/** What comes after the headers of an answer, part by part. */
export type Body = AsyncIterable<Uint8Array>

/**
 * Asks the Hub about one repository. The token goes to the Hub's own address and nowhere else: `fetch` takes it away where
 * an answer sends us to another host, and we do where a list's next page lies on one. (The client of the Hub gives it to
 * hosts of the Hub's cache, and refuses tokens that do not begin with `hf_`, so that it is never told of ours.)
 */
export class HubConnection {
  readonly access: HubAccess
  readonly repository: RepositoryName
  readonly #signal: AbortSignal
  readonly #log: (line: string) => void
  readonly #idleTimeout: number
  readonly #retryDelays: readonly number[]

  constructor ({ access, repository, signal, log, idleTimeout = IDLE_TIMEOUT, retryDelays = RETRY_DELAYS }: ConnectionInit) {
    this.access = access
    this.repository = repository
    this.#signal = signal
    this.#log = log
    this.#idleTimeout = idleTimeout
    this.#retryDelays = retryDelays
  }

  /** How work is tried again. @param signal of the work, which ends with the connection's */
  retries (signal = this.#signal): Retries {
    return { delays: this.#retryDelays, signal, log: this.#log }
  }

  /** What the client of the Hub asks through: short answers, whole, tried again where a line is lost. */
  readonly fetch: typeof fetch = async input => await retrying(async () =>
    await this.request(input as string, { accept: 'application/json' }, async ({ status, headers }, body) =>
      new Response(new Uint8Array(await buffer(body)), { status, headers })
    ), this.retries())

  /**
   * One question, once.
   *
   * @param use reads the answer, which ends when it returns
   * @param signal of the work, which ends with the connection's
   * @throws {TransientError} if the line is lost, or nothing comes for too long
   * @throws {DownloadError | InvalidOptionError} if the Hub refuses
   */
  async request<T> (url: string, headers: Readonly<Record<string, string>>, use: (answer: Response, body: Body) => Promise<T>, signal = this.#signal): Promise<T> {
    const controller = new AbortController()
    const end = (): void => controller.abort(signal.reason)
    signal.addEventListener('abort', end)
    try {
      signal.throwIfAborted()
      const { host } = new URL(url)
      const wait = async <U>(next: Promise<U>): Promise<U> => await this.#wait(next, host, controller)
      const answer = await wait(fetch(url, { headers: { ...headers, ...this.#authorization(url) }, signal: controller.signal }))
      if (!answer.ok) throw refusal(answer, this.repository, this.access)
      return await use(answer, bodyOf(answer, wait))
    } finally {
      signal.removeEventListener('abort', end)
      controller.abort()
    }
  }

  #authorization (url: string): Readonly<Record<string, string>> {
    const { endpoint, token } = this.access
    return token !== undefined && new URL(url).origin === new URL(endpoint).origin ? { authorization: `Bearer ${token.value}` } : {}
  }

  /** What comes next from the network, in time. */
  async #wait<T> (next: Promise<T>, host: string, controller: AbortController): Promise<T> {
    const timer = setTimeout(() => controller.abort(new TransientError(`${host} says nothing for ${this.#idleTimeout / 1000} s`)), this.#idleTimeout)
    try {
      return await next
    } catch (error) {
      if (controller.signal.aborted) throw controller.signal.reason
      throw new TransientError(`the connection to ${host} failed (${reasonOf(error)})`, { cause: error })
    } finally {
      clearTimeout(timer)
    }
  }
}

async function * bodyOf ({ body }: Response, wait: <U>(next: Promise<U>) => Promise<U>): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await wait(reader.read())
    if (done) return
    yield value
  }
}

/** What `fetch` hides in the cause of its error. */
function reasonOf (error: unknown): string {
  const { message, cause } = error as Error
  if (!(cause instanceof Error)) return message
  return cause.message === '' ? String((cause as NodeJS.ErrnoException).code) : cause.message
}
