import { writeToStdout } from './stdout.js'

/** The one report of a call, on standard output. */
export class StandardReport {
  readonly #json: boolean
  #made = false

  /** @param json whether it is for programs */
  constructor (json: boolean) {
    this.#json = json
  }

  get made (): boolean {
    return this.#made
  }

  /** See `Context.report`. */
  readonly make = async (object: object, summary: string): Promise<void> => {
    if (this.#made) throw new Error('a command reports once')
    this.#made = true
    await writeToStdout(`${this.#json ? JSON.stringify(object) : summary}\n`)
  }

  /** An error is a report too, for programs, unless there is one already. */
  async error ({ name, message }: Error): Promise<void> {
    if (this.#json && !this.#made) await this.make({ error: { name, message } }, '')
  }
}
