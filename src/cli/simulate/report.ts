import { z } from 'zod'
import { type Mode, MODES } from '../../types.js'

const traffic = z.record(z.string(), z.object({ sent: z.number(), received: z.number() }))

/** What is needed of the report of `colanet train`; the rest of it is kept. */
export const trainReport = z.looseObject({
  mode: z.enum(MODES),
  model: z.string(),
  engine: z.string(),
  losses: z.array(z.number()),
  tokens: z.number(),
  tokensPerSecond: z.number(),
  heldOut: z.object({ base: z.number().nullable(), adapted: z.number().nullable() }),
  bytes: traffic,
  deltaHash: z.string(),
  adapter: z.string()
})

/** What is needed of the report of `colanet host`. */
export const hostReport = z.looseObject({ engine: z.string() })

export type TrainReport = z.infer<typeof trainReport>
type Bytes = z.infer<typeof traffic>

/** What one trainer reached. Held-out losses are in nats a token; null where nothing was held out. */
export interface Member {
  /** The kind of text that it trained on. */
  readonly name: string
  /** The file with that text. */
  readonly data: string
  readonly heldOut: { readonly base: number | null } & Readonly<Partial<Record<Mode, number | null>>>
  /** Over all modes. */
  readonly tokensPerSecond: number
  /** By kind of message, over all modes. */
  readonly bytes: Bytes
  /** Names the ΔW that the trainer ended with: that of the members together where there was such a mode, else its own. */
  readonly deltaHash: string
  /** The report of each of its runs. */
  readonly runs: Readonly<Partial<Record<Mode, TrainReport>>>
}

export interface SimulationReport {
  /** Whether all results are as they should be. */
  readonly ok: boolean
  /** What is wrong, for people. */
  readonly problems: readonly string[]
  /** The folder with everything. */
  readonly run: string
  readonly model: string
  /** Of the first host. */
  readonly engine: string
  readonly modes: readonly Mode[]
  readonly seconds: number
  readonly members: readonly Member[]
  /** The reports of the hosts, as far as they made any. */
  readonly hosts: readonly unknown[]
}

/** Modes in which all members end with one ΔW. */
export const SHARED_MODES: readonly Mode[] = ['collaboration', 'joint']

/** Joins a trainer's runs, at least one, in the order in which they were made. */
export function joinRuns (name: string, data: string, runs: readonly TrainReport[]): Member {
  const shared = runs.findLast(({ mode }) => SHARED_MODES.includes(mode))
  return {
    name,
    data,
    heldOut: { base: runs[0].heldOut.base, ...byMode(runs, ({ heldOut }) => heldOut.adapted) },
    tokensPerSecond: meanSpeed(runs),
    bytes: sumBytes(runs.map(({ bytes }) => bytes)),
    deltaHash: (shared ?? runs[runs.length - 1]).deltaHash,
    runs: byMode(runs, run => run)
  }
}

function byMode<T> (runs: readonly TrainReport[], value: (run: TrainReport) => T): Partial<Record<Mode, T>> {
  return Object.fromEntries(runs.map(run => [run.mode, value(run)]))
}

/** All tokens over all the time that they took. */
function meanSpeed (runs: readonly TrainReport[]): number {
  const timed = runs.filter(({ tokensPerSecond }) => tokensPerSecond > 0)
  const seconds = timed.reduce((sum, { tokens, tokensPerSecond }) => sum + tokens / tokensPerSecond, 0)
  return seconds === 0 ? 0 : timed.reduce((sum, { tokens }) => sum + tokens, 0) / seconds
}

function sumBytes (all: readonly Bytes[]): Bytes {
  const sum: Bytes = {}
  for (const [kind, { sent, received }] of all.flatMap(bytes => Object.entries(bytes))) {
    const before = Object.hasOwn(sum, kind) ? sum[kind] : { sent: 0, received: 0 }
    sum[kind] = { sent: before.sent + sent, received: before.received + received }
  }
  return sum
}
