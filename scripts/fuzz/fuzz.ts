import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as errors from '../../src/errors.js'
import { randomNumbers } from '../../src/tensor/random-numbers.js'
import { damaged } from './damage.js'
import { type Decoder, InvalidAcceptedError, type Sample } from './decoder.js'
import { oneOf } from './random.js'

/** Valid messages of which damaged ones are made. */
const SAMPLES = 24

/** Messages after which what stays in memory begins to be counted: before, code is compiled and tables are filled. */
const WARM_UP = 500

/**
 * What may stay in memory from all messages of one decoder, and what the process may grow by while it reads them, in bytes. The
 * first is a few objects that the engine keeps for itself; the second is what the collector lets lie before it runs.
 */
export const MAX_RETAINED = 16 << 20
export const MAX_GROWTH = 512 << 20

/** A message that breaks the rule. */
interface Broken {
  /** Its number, from 0. */
  readonly message: number
  readonly bytes: Uint8Array
  readonly error: Error
}

/** What became of the messages of a decoder. */
export interface Outcome {
  readonly decoder: string
  readonly messages: number
  readonly accepted: number
  /** By the name of the error. */
  readonly refused: ReadonlyMap<string, number>
  /** The longest that one took, in milliseconds. */
  readonly slowest: number
  /** What stays in memory from all, in bytes, after the collector has run. */
  readonly retained: number
  /** What the process has grown by at most, in bytes. */
  readonly growth: number
  /** The first; no other is looked for. */
  readonly broken: Broken | undefined
}

export interface FuzzInit {
  readonly seed: number
  /** Numbers of the messages, which with the seed decide all of them. */
  readonly messages: readonly number[]
  readonly folder: string
  readonly signal: AbortSignal
  /** Told of each message that is through. */
  readonly done: () => void
}

/** Has a decoder read damaged messages: each must be decoded to something valid, or refused by one of our errors. */
export async function fuzz ({ name, sample }: Decoder, { seed, messages, folder, signal, done }: FuzzInit): Promise<Outcome> {
  const source = { random: randomNumbers(`${seed}/${name}`), folder }
  const samples: Sample[] = []
  for (let i = 0; i < SAMPLES; i++) samples.push(await sample(source))
  const refused = new Map<string, number>()
  const begun = process.memoryUsage.rss()
  let [accepted, slowest, growth, read, before, broken]: [number, number, number, number, number, Broken | undefined] = [0, 0, 0, 0, NaN, undefined]
  for (const message of messages) {
    if (read === WARM_UP) before = await inUse()
    const { bytes, decode } = messageOf(samples, `${seed}/${name}/${message}`)
    const start = performance.now()
    const error = await failureOf(decode, bytes)
    slowest = Math.max(slowest, performance.now() - start)
    read++
    if (error === undefined) accepted++
    else if (isOurs(error)) refused.set(error.name, (refused.get(error.name) ?? 0) + 1)
    else {
      broken = { message, bytes, error }
      break
    }
    if (read % 64 === 0) {
      growth = Math.max(growth, process.memoryUsage.rss() - begun)
      await new Promise(resolve => setImmediate(resolve)) // so that Ctrl+C is heard
      signal.throwIfAborted()
    }
    done()
  }
  const retained = Number.isNaN(before) ? 0 : Math.max(0, await inUse() - before)
  return { decoder: name, messages: read, accepted, refused, slowest, retained, growth, broken }
}

/** A damaged message of its own for each key; one in fifty is left whole, and must be accepted or it is no sample. */
function messageOf (samples: readonly Sample[], key: string): Pick<Sample, 'bytes' | 'decode'> {
  const random = randomNumbers(key)
  const own = oneOf(samples, random)
  if (random() < 0.02) return { bytes: Uint8Array.from(own.bytes), decode: own.decode }
  return { bytes: damaged(own, oneOf(samples, random), random), decode: own.decode }
}

async function failureOf (decode: Sample['decode'], bytes: Uint8Array): Promise<Error | undefined> {
  try {
    await decode(Uint8Array.from(bytes))
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new InvalidAcceptedError(`it threw ${String(error)}, which is no error`)
  }
}

const NAMED = Object.values(errors)

function isOurs (error: Error): boolean {
  return NAMED.some(Named => error instanceof Named)
}

setFlagsFromString('--expose-gc')
const COLLECTIONS = 3
const collect = runInNewContext('gc') as () => void

/** What is in memory and cannot be let go, in bytes: what one collection finds unused, the next one frees. */
async function inUse (): Promise<number> {
  for (let i = 0; i < COLLECTIONS; i++) {
    collect()
    await new Promise(resolve => setImmediate(resolve))
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
