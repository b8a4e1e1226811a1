import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { unlessAborted } from '../../src/protocols/deadline.js'

/** As in the first line of the command line's own file. */
const NODE_FLAGS = ['--max-semi-space-size=2']

/** Last lines of a child's standard error that are told when it fails. */
const LAST_WORDS = 3

/**
 * A process that stays running, and does one thing a line of its standard input: it answers each with one line of JSON.
 * It first says that it is ready, with a line of JSON too, and leaves when its standard input ends.
 */
export class LineChild {
  /** What it said first. */
  readonly greeting: unknown
  readonly pid: number
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #answers: Answers
  readonly #signal: AbortSignal

  private constructor (process: ChildProcessByStdio<Writable, Readable, Readable>, answers: Answers, greeting: unknown, signal: AbortSignal) {
    this.#process = process
    this.#answers = answers
    this.greeting = greeting
    this.pid = process.pid ?? 0
    this.#signal = signal
  }

  /** @throws {Error} with its last words, if it ends before it is ready */
  static async start (command: string, args: readonly string[], signal: AbortSignal): Promise<LineChild> {
    const process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] }) as ChildProcessByStdio<Writable, Readable, Readable>
    process.stdin.on('error', () => {}) // that it has gone is told by its answers
    const answers = new Answers(process)
    try {
      return new LineChild(process, answers, await unlessAborted(answers.next(), signal), signal)
    } catch (error) {
      process.kill('SIGKILL')
      throw error
    }
  }

  /** One of our own files, run from its sources. */
  static async fromSources (file: string, args: readonly string[], signal: AbortSignal): Promise<LineChild> {
    return await LineChild.start(process.execPath, [...NODE_FLAGS, '--import', 'tsx', file, ...args], signal)
  }

  /** @throws {Error} with its last words, if it ends before it answers */
  async ask (line: string): Promise<unknown> {
    this.#process.stdin.write(`${line}\n`)
    return await unlessAborted(this.#answers.next(), this.#signal)
  }

  async stop (): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }
}

class Answers {
  readonly #lines: AsyncIterator<string, undefined>
  readonly #failed: Promise<never>
  #said: string[] = []

  constructor (process: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]()
    createInterface({ input: process.stderr }).on('line', line => { this.#said = [...this.#said, line].slice(-LAST_WORDS) })
    this.#failed = once(process, 'error').then(([error]) => { throw error as Error })
    this.#failed.catch(() => {}) // it is told to whoever waits
  }

  async next (): Promise<unknown> {
    const { value } = await Promise.race([this.#lines.next(), this.#failed])
    if (value === undefined) throw new Error(`it ended; its last words: ${this.#said.join(' | ') || 'none'}`)
    return JSON.parse(value) as unknown
  }
}
