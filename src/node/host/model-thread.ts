import { extname } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { pEvent } from 'p-event'
import * as errors from '../../errors.js'
import type { ModelInfo } from '../../model/base-model.js'
import { unlessAborted } from '../../protocols/deadline.js'
import type { FloatTensor } from '../../types.js'
import { rebuilt, startThread } from '../thread.js'
import type { LentModel, LentPass, LentResult } from './lent-model.js'
import type { ModelOptions } from './local-model.js'
import { PartStream } from './part-stream.js'
import type { FromThread, PartMessage, ThreadData, ToThread } from './thread-messages.js'

const MAIN = new URL(`model-thread-main${extname(import.meta.filename)}`, import.meta.url)

export interface ModelThreadInit extends ModelOptions {
  /** A Hugging Face folder. */
  readonly folder: string
  readonly log: (line: string) => void
}

/**
 * A base model in a thread of its own, so that this one answers the mesh while the model computes. If the thread
 * crashes, those who wait are told, and the next pass starts another one.
 */
export class ModelThread implements LentModel {
  readonly info: ModelInfo
  readonly engine: LentModel['engine']
  readonly #init: ModelThreadInit
  #worker: Worker | undefined
  /** What is merged there now; null for θ as it is. */
  #merged: string | null = null
  readonly #close = new AbortController()
  /** The answer that is awaited from the thread, if any. */
  #answer: Promise<unknown> = Promise.resolve()
  /** Passes so far. */
  #number = 0
  /** What comes yet of passes that are done, by their numbers: a stream for each result. */
  readonly #streams = new Map<number, readonly PartStream[]>()

  private constructor (init: ModelThreadInit, worker: Worker, { info, engine }: Ready) {
    this.#init = init
    this.#worker = worker
    this.info = info
    this.engine = engine
    this.#watch(worker)
  }

  /** Throws what `LocalModel.open` throws. */
  static async open (init: ModelThreadInit): Promise<ModelThread> {
    const { worker, ready } = await start(init)
    return new ModelThread(init, worker, ready)
  }

  /** @throws {EngineError} if the thread crashes */
  async pass (pass: LentPass): Promise<LentResult[]> {
    const worker = await this.#running()
    const state = pass.merged?.state ?? null
    const known = state === this.#merged && pass.merged !== null
    const number = this.#number++
    const message: ToThread = { type: 'pass', number, pass: known ? { ...pass, merged: { ...pass.merged, members: [] } } : pass }
    const streams = pass.parts.map(() => new PartStream())
    this.#streams.set(number, streams)
    const answer = await this.#ask(worker, message)
    if (answer.type === 'failed') {
      this.#streams.delete(number)
      this.#merged = null // it may have failed before or after it was merged
      throw rebuilt(answer.error)
    }
    if (answer.type !== 'done') throw new errors.EngineError(`the engine answered a pass with ${answer.type}`)
    this.#merged = state
    return answer.results.map((result, i) => ({ ...result, parts: streams[i].parts }))
  }

  /** @throws {EngineError} if the thread crashes */
  async startNorms (sites: readonly string[]): Promise<ReadonlyMap<string, FloatTensor>> {
    const answer = await this.#ask(await this.#running(), { type: 'norms', sites })
    if (answer.type === 'failed') throw rebuilt(answer.error)
    if (answer.type !== 'norms') throw new errors.EngineError(`the engine answered a question for norms with ${answer.type}`)
    return answer.norms
  }

  /** Those who wait are told at once; a pass that is under way ends first, as ONNX Runtime takes the whole process with it if its thread ends within. */
  async dispose (): Promise<void> {
    this.#close.abort(new errors.EngineError('the engine is closed'))
    const worker = this.#worker
    if (worker === undefined) return
    this.#worker = undefined
    const exited = pEvent(worker, 'exit', { rejectionEvents: [] })
    await this.#answer
    worker.ref()
    worker.postMessage({ type: 'close' } satisfies ToThread)
    await exited
  }

  /** The thread, started again where it has ended. */
  async #running (): Promise<Worker> {
    this.#close.signal.throwIfAborted()
    return this.#worker ?? await this.#restart()
  }

  async #ask (worker: Worker, message: ToThread): Promise<Answer> {
    const reply = next(worker)
    this.#answer = reply.catch(() => undefined)
    worker.postMessage(message)
    return await unlessAborted(reply, this.#close.signal)
  }

  async #restart (): Promise<Worker> {
    const { worker } = await start(this.#init)
    if (this.#close.signal.aborted) {
      await worker.terminate()
      throw this.#close.signal.reason as Error
    }
    this.#worker = worker
    this.#merged = null
    this.#watch(worker)
    return worker
  }

  #watch (worker: Worker): void {
    const forget = (): void => {
      if (this.#worker === worker) this.#worker = undefined
      for (const number of this.#streams.keys()) this.#break(number, new errors.EngineError('the engine ended before all of its results were here'))
    }
    worker.on('message', (message: FromThread) => {
      if (message.type === 'part') this.#take(message, worker)
      if (message.type === 'broken') this.#break(message.number, rebuilt(message.error))
    })
    worker.once('error', forget).once('exit', forget)
    worker.unref()
  }

  #take ({ number, result, part }: PartMessage, worker: Worker): void {
    const streams = this.#streams.get(number) ?? []
    if (part !== null) {
      const memory = part.bytes.buffer as SharedArrayBuffer
      streams[result].push({ ...part, release: () => worker.postMessage({ type: 'free', memory } satisfies ToThread) })
      return
    }
    streams[result].end()
    if (result === streams.length - 1) this.#streams.delete(number)
  }

  #break (number: number, error: Error): void {
    for (const stream of this.#streams.get(number) ?? []) stream.fail(error)
    this.#streams.delete(number)
  }
}

type Ready = Extract<FromThread, { type: 'ready' }>

async function start ({ folder, log, ...options }: ModelThreadInit): Promise<{ worker: Worker, ready: Ready }> {
  const worker = startThread(MAIN, { folder, options } satisfies ThreadData)
  worker.on('message', (message: FromThread) => {
    if (message.type === 'log') log(message.line)
  })
  const first = await next(worker)
  if (first.type === 'ready') return { worker, ready: first }
  await worker.terminate()
  throw first.type === 'failed' ? rebuilt(first.error) : new errors.EngineError(`the engine began with ${first.type}`)
}

type Answer = Exclude<FromThread, { type: 'log' | 'part' | 'broken' }>

function isAnswer (message: FromThread): message is Answer {
  return message.type !== 'log' && message.type !== 'part' && message.type !== 'broken'
}

/** The thread's next answer. @throws {EngineError} if it crashes instead */
async function next (worker: Worker): Promise<Answer> {
  worker.ref()
  try {
    const ended = new AbortController()
    const signal = ended.signal
    const exit = pEvent<'exit', number>(worker, 'exit', { signal, rejectionEvents: [] }).then(code => {
      throw new errors.EngineError(`the engine's thread ended with code ${code}`)
    })
    try {
      const answer = pEvent<'message', FromThread>(worker, 'message', { filter: message => isAnswer(message), signal })
      return await Promise.race([answer, exit]) as Answer
    } finally {
      ended.abort()
    }
  } catch (error) {
    if (error instanceof Error && error.name in errors) throw error
    throw new errors.EngineError(`the engine crashed: ${(error as Error).message}; the next pass starts it again`, { cause: error })
  } finally {
    worker.unref()
  }
}
