import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { unlessAborted } from '../../protocols/deadline.js'

/** How long a process may take to save and leave before it is killed, in milliseconds. */
const STOP_TIMEOUT = 10_000

/** This same command line, run from its sources or compiled. */
const MAIN = join(import.meta.dirname, '..', `main${extname(import.meta.filename)}`)

/** A process of ours failed; its error under its own name, so that it counts as if it had happened here. */
export class ChildError extends Error {
  override readonly name: string

  constructor (child: string, { name, message }: { readonly name: string, readonly message: string }) {
    super(`${child}: ${message}`)
    this.name = name
  }
}

export interface Child {
  /** The report of its command, once it has ended well, or was stopped. */
  readonly report: Promise<unknown>
}

interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<void>
}

export interface ProcessesInit {
  /** Gets what the processes say, line by line. */
  readonly log: (line: string) => void
  readonly signal: AbortSignal
  /** What is run. @default this command line */
  readonly main?: string
}

/**
 * Processes of this same command line that live no longer than this one. They have process groups of their own, so that
 * a Ctrl+C reaches them once, through us, and a channel to us, at whose end they leave (see `interrupt.ts`).
 */
export class Processes {
  readonly #log: (line: string) => void
  readonly #signal: AbortSignal
  readonly #main: string
  readonly #running = new Set<Running>()
  /** Ends with the first process that fails, and with the caller's signal. */
  readonly #ended = new AbortController()
  #stopping = false

  constructor ({ log, signal, main = MAIN }: ProcessesInit) {
    this.#log = log
    this.#signal = signal
    this.#main = main
    signal.addEventListener('abort', this.#onAbort)
    if (signal.aborted) this.#onAbort()
  }

  /** @param args of the command line, without `--json` */
  start (name: string, args: readonly string[]): Child {
    this.#ended.signal.throwIfAborted()
    const child = spawn(process.execPath, [...process.execArgv, this.#main, ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: process.platform !== 'win32'
    }) as ChildProcessByStdio<null, Readable, Readable>
    let lastLine = ''
    createInterface({ input: child.stderr }).on('line', line => {
      lastLine = line
      this.#log(`${name} | ${line}`)
    })
    const output = text(child.stdout)
    const exit = new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve(code === null ? `ended by ${signal}` : `exit code ${code}`))
    })
    const report = exit.then(async how => this.#outcome(name, how, parse(await output), lastLine))
    const running: Running = { process: child, ended: exit.then(() => {}, () => {}).finally(() => this.#running.delete(running)) }
    this.#running.add(running)
    report.catch((error: unknown) => this.#ended.abort(error))
    return { report }
  }

  /**
   * Waits for the work, unless one of the processes fails or the signal ends first. Then, and at the end, all processes
   * are stopped.
   */
  async during<T> (work: () => Promise<T>): Promise<T> {
    try {
      return await unlessAborted(work(), this.#ended.signal)
    } finally {
      this.#signal.removeEventListener('abort', this.#onAbort)
      await this.stop()
    }
  }

  /** Lets all processes save and leave; kills those that do not. */
  async stop (): Promise<void> {
    this.#stopping = true
    await Promise.all([...this.#running].map(async ({ process, ended }) => {
      process.kill('SIGTERM')
      const timer = setTimeout(() => process.kill('SIGKILL'), STOP_TIMEOUT)
      await ended
      clearTimeout(timer)
    }))
  }

  readonly #onAbort = (): void => {
    this.#ended.abort(this.#signal.reason)
  }

  #outcome (name: string, how: string, report: unknown, lastLine: string): unknown {
    const { error } = (report ?? {}) as { error?: { name: string, message: string } }
    if (this.#stopping || (how === 'exit code 0' && report !== undefined && error === undefined)) return report
    throw new ChildError(name, error ?? { name: 'Error', message: `${how}${lastLine === '' ? '' : `; its last words: ${lastLine}`}` })
  }
}

/** undefined where a process ended without its report. */
function parse (output: string): unknown {
  try {
    return JSON.parse(output)
  } catch {
    return undefined
  }
}
