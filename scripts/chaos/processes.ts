import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { EMBEDDED_MODEL, PACKAGE_ROOT } from '../../src/cli/package-root.js'
import type { TrainReport } from '../../src/node/trainer/train.js'
import { Deadline, unlessAborted } from '../../src/protocols/deadline.js'
import { randomNumbers } from '../../src/tensor/random-numbers.js'
import type { Started } from '../../test/cli/run-cli.js'
import { reportOf, saidBy, Scene } from '../../test/integration/scene.js'

export interface ProcessesInit {
  /** In all. */
  readonly count: number
  /** Decides the moments. */
  readonly seed: number
  readonly log: (line: string) => void
  readonly signal: AbortSignal
}

/** What became of the processes. */
export interface ProcessesOutcome {
  readonly processes: number
  readonly kills: number
  readonly restarts: number
  readonly stops: number
  readonly survivors: number
  /** What was said, with the seconds of its time. */
  readonly events: readonly string[]
  /** What does not hold; none where all does. */
  readonly broken: readonly string[]
}

/** What befalls a trainer: the last kill may be for good. */
interface Fate {
  readonly kills: number
  readonly forGood: boolean
  readonly stops: boolean
}

/** Of trainers in turn. Three processes are a host and the first two. */
const FATES: readonly Fate[] = [
  { kills: 0, forGood: false, stops: true },
  { kills: 1, forGood: false, stops: false },
  { kills: 1, forGood: true, stops: false },
  { kills: 2, forGood: false, stops: false }
]

/** Steps of each trainer: none is done before the last of them is killed. */
const STEPS = 150

/** How long a member that says nothing is waited for, in seconds: longer than a process takes to start. */
const PATIENCE = 30

/** The longest that a trainer is let work before it is killed, that one stands still, and that one is away, in milliseconds. */
const [WORK, STOP, AWAY] = [3_000, 5_000, 2_000]

/** All of it, in milliseconds. */
const LIMIT = 6 * 60_000

/** The command line in processes of its own, all in one job, of which some are killed with -9 and others stopped for a while. */
export async function runProcesses ({ count, seed, log, signal }: ProcessesInit): Promise<ProcessesOutcome> {
  const scene = await Scene.open()
  const deadline = new Deadline(LIMIT, `${count} processes`, signal)
  try {
    return await new Run(scene, { count, seed, log, signal: deadline.signal }).whole(signal)
  } finally {
    deadline.clear()
    await scene.close()
  }
}

class Run {
  readonly #scene: Scene
  readonly #init: ProcessesInit
  readonly #events: string[] = []
  readonly #began = performance.now()
  #kills = 0
  #restarts = 0
  #stops = 0

  constructor (scene: Scene, init: ProcessesInit) {
    this.#scene = scene
    this.#init = init
  }

  /** @param interrupt ends it without an outcome */
  async whole (interrupt: AbortSignal): Promise<ProcessesOutcome> {
    let [broken, survivors]: [string[], number] = [[], 0]
    try {
      const reports = await unlessAborted(this.#reports(), this.#init.signal)
      broken = brokenLaws(reports)
      survivors = reports.length
    } catch (error) {
      interrupt.throwIfAborted()
      broken = [(error as Error).message]
    }
    return { processes: this.#init.count, kills: this.#kills, restarts: this.#restarts, stops: this.#stops, survivors, events: this.#events, broken }
  }

  async #reports (): Promise<TrainReport[]> {
    const { count } = this.#init
    await writeFile(this.#data, await readFile(join(PACKAGE_ROOT, 'LICENSE')))
    const hosts = count >= 6 ? 2 : 1
    const fates = Array.from({ length: count - hosts }, (_, i) => FATES[i % FATES.length])
    const first = this.#host(0)
    if (hosts > 1) this.#host(1)
    const training = fates.map(async (fate, i) => await this.#lives(`trainer-${i}`, fate, fates.length))
    if (hosts > 1) training.push(this.#moveHost(first))
    return (await Promise.all(training)).filter(report => report !== undefined)
  }

  get #data (): string { return join(this.#scene.folder, 'text.txt') }

  #host (number: number): Started {
    return this.#scene.host(`host-${number}`, '--model', EMBEDDED_MODEL, '--threads', '1')
  }

  #train (name: string, members: number): Started {
    return this.#scene.train(name, '--model', EMBEDDED_MODEL, '--data', this.#data, '--job', 'chaos', '--mode', 'collaboration', '--members', String(members), '--patience', String(PATIENCE),
      '--batch-size', '1', '--length', '16', '--held-out-rows', '2', '--lr', '0.003', '--seed', '1', '--steps', String(STEPS))
  }

  /** @returns its report; undefined where it was killed for good */
  async #lives (name: string, { kills, forGood, stops }: Fate, members: number): Promise<TrainReport | undefined> {
    const random = randomNumbers(`chaos/${this.#init.seed}/${name}`)
    for (let kill = 1; kill <= kills; kill++) {
      const started = this.#train(name, members)
      await this.#works(started, random)
      await this.#kill(name, started)
      if (forGood && kill === kills) return undefined
      await this.#wait(random() * AWAY)
      this.#restarts++
    }
    const started = this.#train(name, members)
    if (stops) {
      await this.#works(started, random)
      this.#tell(`${name} stands still`)
      this.#stops++
      started.process.kill('SIGSTOP')
      await this.#wait(random() * STOP)
      started.process.kill('SIGCONT')
    }
    const report = await reportOf(started)
    this.#tell(`${name} has settled: ${report.deltaHash.slice(0, 16)} of ${report.members.map(({ peer, round }) => `${peer.slice(-4)}/${round}`).join(' ')}`)
    return report
  }

  /** The first of two hosts is killed too, and started again. */
  async #moveHost (host: Started): Promise<undefined> {
    const random = randomNumbers(`chaos/${this.#init.seed}/host-0`)
    await saidBy(host, /Ctrl\+C stops it/)
    await this.#wait(2 * WORK * (1 + random()))
    await this.#kill('host-0', host)
    await this.#wait(random() * AWAY)
    this.#restarts++
    this.#host(0)
  }

  async #works (started: Started, random: () => number): Promise<void> {
    await saidBy(started, /training +\d+\/\d+/)
    await this.#wait(random() * WORK)
  }

  async #kill (name: string, { process, ended }: Started): Promise<void> {
    this.#tell(`${name} is killed`)
    this.#kills++
    process.kill('SIGKILL')
    await ended
  }

  #tell (event: string): void {
    this.#events.push(`${((performance.now() - this.#began) / 1000).toFixed(1)} ${event}`)
    this.#init.log(event)
  }

  async #wait (milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.#init.signal })
  }
}

/** What has to hold of those that survived, and does not. */
function brokenLaws (reports: readonly TrainReport[]): string[] {
  const broken: string[] = []
  const hashes = new Set(reports.map(({ deltaHash }) => deltaHash))
  if (hashes.size !== 1) broken.push(`members differ in ΔW: ${reports.map(({ peer, deltaHash }) => `${peer?.slice(-4)} has ${deltaHash.slice(0, 16)}`).join(', ')}`)
  if (!reports.every(({ members }) => isDeepStrictEqual(contributionsOf(members), contributionsOf(reports[0].members)))) {
    broken.push(`members count others' contributions differently: ${JSON.stringify(reports.map(({ members }) => members))}`)
  }
  for (const { peer, tokens, steps } of reports) {
    if (steps !== STEPS) broken.push(`${peer?.slice(-4)} has done ${steps} of ${STEPS} steps`)
    for (const { members, peer: other } of reports) {
      const counted = members.filter(member => member.peer === peer)
      if (counted.length !== 1) broken.push(`${other?.slice(-4)} counts ${peer?.slice(-4)} ${counted.length} times`)
      else if (counted[0].tokens !== tokens) broken.push(`${other?.slice(-4)} has not the last contribution of ${peer?.slice(-4)}: ${counted[0].tokens} of ${tokens} tokens`)
    }
  }
  return broken
}

/** Whose they are, and of how many tokens: rounds may have been signed anew since. */
function contributionsOf (members: TrainReport['members']): Array<readonly [peer: string, tokens: number]> {
  return members.map(({ peer, tokens }) => [peer, tokens] as const)
}
