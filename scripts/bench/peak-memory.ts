import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Short beside a step, so that no peak of it is missed, and rare enough to cost nothing, in milliseconds. */
const INTERVAL = 20

/** Watches a process's anonymous memory: not what is mapped from files, which can be dropped and read again. Linux only. */
export class PeakMemory {
  readonly #pid: number
  readonly #ended = new AbortController()
  readonly #watching: Promise<void>
  #peak = 0

  constructor (pid: number) {
    this.#pid = pid
    this.#watching = this.#watch()
  }

  /** @returns the most that was seen, in MB of a million bytes */
  async stop (): Promise<number> {
    this.#ended.abort()
    await this.#watching
    if (this.#peak === 0) throw new Error(`/proc/${this.#pid}/status could not be read: memory is measured on Linux only`)
    return this.#peak
  }

  async #watch (): Promise<void> {
    const { signal } = this.#ended
    while (!signal.aborted) {
      this.#peak = Math.max(this.#peak, await anonymous(this.#pid))
      await delay(INTERVAL, undefined, { signal }).catch(() => {})
    }
  }
}

/** In MB; 0 where the process has gone. */
async function anonymous (pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const found = /^RssAnon:\s*(\d+) kB$/m.exec(status)
  return found === null ? 0 : Number(found[1]) * 1024 / 1e6
}
