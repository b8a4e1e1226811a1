import { extname } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { EngineError } from '../../../errors.js'
import { rebuilt, startThread } from '../../thread.js'
import type { SharedCopies } from './shared-copies.js'
import type { FitCalls, FitProgress, FitThreadData, FromFitThread, ToFitThread } from './thread-messages.js'

const MAIN = new URL(`fit-thread-main${extname(import.meta.filename)}`, import.meta.url)

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** A thread that has a learner of some of the sites. If it ends, so does what it had fitted. */
export class FitThread {
  readonly #worker: Worker
  readonly #copies: SharedCopies
  readonly #exited: Promise<void>
  /** Those who wait for an answer, by the numbers of their calls. */
  readonly #waiting = new Map<number, Waiting>()
  /** Those answers. */
  readonly #answers = new Set<Promise<unknown>>()
  #number = 0
  #progress: FitProgress = { fits: 0, gathered: 0 }
  #failure: Error | undefined

  constructor (data: FitThreadData, copies: SharedCopies) {
    this.#copies = copies
    this.#worker = startThread(MAIN, data)
    const sites = data.plan.auxiliaries.map(({ site }) => site.name).join(', ')
    const end = (how: string, cause?: Error): void =>
      this.#end(new EngineError(`the thread that fits ${sites} ${how}; the same command again goes on from the last step that was saved`, { cause }))
    this.#exited = new Promise(resolve => {
      this.#worker.once('exit', code => {
        end(`ended with code ${code}`)
        resolve()
      })
    })
    this.#worker.on('message', (message: FromFitThread) => this.#take(message))
    this.#worker.once('error', error => end(`crashed: ${error.message}`, error))
    this.#worker.unref()
  }

  /** Why there is no thread any more; undefined as long as there is. */
  get failure (): Error | undefined { return this.#failure }

  /** As the last answer told it. */
  get progress (): FitProgress { return this.#progress }

  /** @throws what the learner throws, or where it cannot be made `startBackend` and `learnerOf`; {EngineError} if the thread has ended, or ends before it has answered */
  async call<C extends keyof FitCalls> (call: C, ...args: Parameters<FitCalls[C]>): Promise<Awaited<ReturnType<FitCalls[C]>>> {
    if (this.#failure !== undefined) throw this.#failure
    const { value, giveUp } = this.#copies.of(args)
    const number = this.#number++
    const answer = new Promise((resolve, reject) => { this.#waiting.set(number, { resolve, reject }) })
    this.#answers.add(answer)
    this.#worker.ref()
    this.#worker.postMessage({ type: 'call', number, call, args: value as unknown[] } satisfies ToFitThread)
    try {
      return await answer as Awaited<ReturnType<FitCalls[C]>>
    } finally {
      this.#answers.delete(answer)
      giveUp()
      if (this.#answers.size === 0) this.#worker.unref()
    }
  }

  /** Ends when so many answers are waited for, or fewer. */
  async room (waiting: number): Promise<void> {
    while (this.#answers.size > waiting) await Promise.race(this.#answers).catch(() => {}) // it is told to who waits for it
  }

  /** Those who wait are told at once; what the thread does at the time ends first. */
  async close (): Promise<void> {
    this.#end(new EngineError('the learner is closed'))
    this.#worker.ref()
    this.#worker.postMessage({ type: 'close' } satisfies ToFitThread)
    await this.#exited
  }

  #take (message: FromFitThread): void {
    const waiting = this.#waiting.get(message.number)
    this.#waiting.delete(message.number)
    if (message.type === 'failed') {
      waiting?.reject(rebuilt(message.error))
      return
    }
    this.#progress = message.progress
    waiting?.resolve(message.value)
  }

  #end (error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
  }
}
