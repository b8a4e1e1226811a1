import type { LentModel } from '../../src/node/host/lent-model.js'

/** A model whose passes wait while its gate is closed, as it is at first: so a trainer that never stops is measured in turns. */
export class GatedModel implements LentModel {
  readonly info: LentModel['info']
  readonly engine: LentModel['engine']
  readonly #model: LentModel
  #gate: Gate = closed()
  #passes = 0

  constructor (model: LentModel) {
    this.#model = model
    this.info = model.info
    this.engine = model.engine
  }

  /** That have been done. */
  get passes (): number { return this.#passes }

  open (): void {
    this.#gate.open()
  }

  /** Ends when the first pass waits: all that belongs to those before is done then. */
  async close (): Promise<void> {
    this.#gate = closed()
    await this.#gate.reached
  }

  /** Ends when a pass waits at the gate that is closed. */
  async reached (): Promise<void> {
    await this.#gate.reached
  }

  async pass (...pass: Parameters<LentModel['pass']>): ReturnType<LentModel['pass']> {
    this.#gate.reach()
    await this.#gate.opened
    const result = await this.#model.pass(...pass)
    this.#passes++
    return result
  }

  async startNorms (...sites: Parameters<LentModel['startNorms']>): ReturnType<LentModel['startNorms']> {
    return await this.#model.startNorms(...sites)
  }

  /** The model belongs to who made it. */
  async dispose (): Promise<void> {
    await Promise.resolve()
  }
}

interface Gate {
  readonly reached: Promise<void>
  readonly reach: () => void
  readonly opened: Promise<void>
  readonly open: () => void
}

function closed (): Gate {
  const reached = Promise.withResolvers<undefined>()
  const opened = Promise.withResolvers<undefined>()
  return { reached: reached.promise, reach: () => reached.resolve(undefined), opened: opened.promise, open: () => opened.resolve(undefined) }
}
