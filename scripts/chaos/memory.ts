import { createHash } from 'node:crypto'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { randomNumbers } from '../../src/tensor/random-numbers.js'
import { below } from '../fuzz/random.js'
import { brokenLaws } from './laws.js'
import { Liar } from './liar.js'
import { Network } from './network.js'
import { startNode, Trainer } from './trainer.js'
import { VirtualTime } from './virtual-time.js'
import { keyOf, PATIENCE, type World } from './world.js'

/** Honest members, and the contributions of each beside the one at its start: from the first to the second. */
const [MEMBERS, STEPS] = [[3, 7], [1, 5]] as const

/** The highest shares of messages that are dropped, delayed and doubled. */
const WEATHER = { dropped: 0.25, delayed: 0.2, doubled: 0.2 }

/** All of a seed happens in this time, in milliseconds: members begin, faults, and lies of which all have heard before anybody leaves. */
const [BEGIN, FAULTS, LIES] = [2_000, 25_000, 15_000]

/** The longest that some are cut off, and that a killed member is away, in milliseconds. */
const [PARTITION, AWAY] = [8_000, 8_000]

/** Kills that come just after a contribution, which others have heard of and nobody has, in milliseconds. */
const JUST_AFTER = 60

/** The longest that a seed may take, in milliseconds: several times what members wait for one another. */
const LIMIT = 10 * PATIENCE

/** What became of a seed. */
export interface SeedOutcome {
  readonly seed: number
  /** What does not hold; none where all does. */
  readonly broken: readonly string[]
  /** Each event with the milliseconds of its time. */
  readonly events: readonly string[]
  /** Names the events. */
  readonly hash: string
  readonly counts: {
    readonly members: number
    readonly contributions: number
    readonly kills: number
    readonly restarts: number
    readonly partitions: number
    readonly lies: number
    readonly messages: number
    readonly dropped: number
    readonly delayed: number
    readonly doubled: number
  }
}

/** Lives through all that a seed has in store, in a time of its own: the same seed is the same run, event for event. */
export async function runSeed (seed: number): Promise<SeedOutcome> {
  const time = new VirtualTime()
  const events: string[] = []
  const log = (event: string): void => { events.push(`${time.now.toFixed(3)} ${event}`) }
  const run = new Run(seed, time, log)
  const broken: string[] = []
  try {
    broken.push(...await time.run(async () => await run.whole(), LIMIT))
  } catch (error) {
    broken.push(`${(error as Error).name}: ${(error as Error).message}`)
    log((error as Error).stack ?? '')
  }
  return { seed, broken, events, hash: createHash('sha256').update(events.join('\n')).digest('hex'), counts: run.counts }
}

class Run {
  readonly #seed: number
  readonly #time: VirtualTime
  readonly #log: (event: string) => void
  readonly #random: () => number
  readonly #network: Network
  #trainers: readonly Trainer[] = []
  #liar: Liar | undefined
  #kills = 0
  #restarts = 0
  #partitions = 0

  constructor (seed: number, time: VirtualTime, log: (event: string) => void) {
    this.#seed = seed
    this.#time = time
    this.#log = log
    const random = this.#random = randomNumbers(`chaos/${seed}`)
    const weather = { dropped: random() * WEATHER.dropped, delayed: random() * WEATHER.delayed, doubled: random() * WEATHER.doubled }
    this.#network = new Network({ time, random: randomNumbers(`chaos/${seed}/network`), weather, log })
  }

  get counts (): SeedOutcome['counts'] {
    const { delivered, ...faults } = this.#network.counts
    return {
      members: this.#trainers.length,
      contributions: this.#trainers.reduce((sum, { contributed }) => sum + contributed, 0),
      kills: this.#kills,
      restarts: this.#restarts,
      partitions: this.#partitions,
      lies: this.#liar?.lies ?? 0,
      messages: delivered,
      ...faults
    }
  }

  /** @returns what does not hold in the end */
  async whole (): Promise<string[]> {
    const seed = this.#seed
    const random = this.#random
    const [count, lied] = [between(MEMBERS, random), random() < 0.5]
    const hostKey = await keyOf(seed, 'host')
    const world: World = {
      time: this.#time,
      network: this.#network,
      random,
      log: this.#log,
      host: peerIdFromPrivateKey(hostKey),
      members: () => this.#trainers.map(({ peer }) => peer),
      expected: count + (lied ? 1 : 0),
      contents: new Map()
    }
    const host = await startNode(world, hostKey, 'host')
    const trainers: Trainer[] = []
    for (let i = 0; i < count; i++) trainers.push(new Trainer(world, `m${i}`, await keyOf(seed, `m${i}`), between(STEPS, random)))
    this.#trainers = trainers
    if (lied) this.#liar = await Liar.join(world, await keyOf(seed, 'liar'))
    const lives = trainers.map(async trainer => await this.#lives(trainer))
    const faults = [this.#partition(), this.#lie()]
    await Promise.all([...lives, ...faults])
    return brokenLaws({ trainers, contents: world.contents, honest: [host.endpoint, ...trainers.flatMap(({ endpoints }) => endpoints)] })
  }

  /** One member's lives: most have one. */
  async #lives (trainer: Trainer): Promise<void> {
    const random = this.#random
    await this.#time.delay(random() * BEGIN)
    const survivors = this.#trainers.filter(other => other !== trainer && !other.dead)
    const kills = random() < 0.45 ? 1 + below(2, random) : 0
    const forGood = kills > 0 && random() < 0.35 && survivors.length >= 2
    if (forGood) trainer.dead = true
    for (let kill = 0; kill < kills; kill++) {
      const life = trainer.live()
      await this.#momentOf(trainer)
      if (!trainer.kill(random() < 0.4)) {
        trainer.dead = false
        await life
        return
      }
      this.#kills++
      await life
      if (forGood && kill === kills - 1) return
      await this.#time.delay(500 + random() * (AWAY - 500))
      this.#restarts++
    }
    await trainer.live()
  }

  /** Any, or just after it has told of a contribution. */
  async #momentOf (trainer: Trainer): Promise<void> {
    const random = this.#random
    if (random() < 0.5) {
      await this.#time.delay(random() * FAULTS / 2)
      return
    }
    await trainer.contributes(1 + below(4, random))
    await this.#time.delay(random() * JUST_AFTER)
  }

  async #partition (): Promise<void> {
    const random = this.#random
    for (let count = below(3, random); count > 0; count--) {
      await this.#time.delay(random() * FAULTS / 2)
      const all = [...this.#trainers.map(({ peer }) => peer)]
      const apart = this.#network.some(all, 1 + below(all.length - 1, random))
      this.#partitions++
      this.#log(`cut off: ${this.#trainers.filter(({ peer }) => apart.includes(peer)).map(({ name }) => name).sort().join(' ')}`)
      this.#network.part(apart)
      await this.#time.delay(random() * PARTITION)
      this.#network.heal()
      this.#log('healed')
    }
  }

  async #lie (): Promise<void> {
    const random = this.#random
    if (this.#liar === undefined) return
    const moments = Array.from({ length: 2 + below(8, random) }, () => random() * LIES).sort((a, b) => a - b)
    for (const moment of moments) {
      await this.#time.delay(moment - this.#time.now)
      await this.#liar.lie()
    }
  }
}

function between ([least, most]: readonly [number, number], random: () => number): number {
  return least + below(most - least + 1, random)
}
