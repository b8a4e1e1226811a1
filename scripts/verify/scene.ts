import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { parameterShapes } from '../../src/gl/auxiliary.js'
import type { Job } from '../../src/job.js'
import { Host } from '../../src/node/host/host.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { Jobs } from '../../src/node/jobs.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import { randomNumbers } from '../../src/tensor/random-numbers.js'
import type { AdapterTensors, AuxiliaryKind, AuxiliarySpec, Batch, FloatTensor, Site } from '../../src/types.js'
import { randomRows, writeModel } from '../../test/model/random-model.js'
import { ARCHITECTURES, between, type Random } from './architectures.js'
import { BackPropagation } from './back-propagation.js'
import type { Share } from './share.js'
import { Trainer } from './trainer.js'

/** Sites of a job, at most. */
const SITES = 3

/** The shortest texts, in tokens: in shorter ones attention has little to choose from, and gradients are all rounding. */
const SHORTEST = 6

/** How near to a kink a batch may come, relative to the numbers there: some times what two ways of computing them differ by. */
const NEAR_KINK = 4e-6

export interface SceneContext {
  /** For files; gone afterwards. */
  readonly folder: string
  /** A line for people, each of which is shown once. */
  readonly log: (line: string) => void
}

interface JobShape extends Pick<Job, 'kinds' | 'mode' | 'merge'> {
  /** @default 1 */
  readonly interval?: number
  /** @default some of the model */
  readonly sites?: readonly string[]
}

interface MemberShape {
  /** @default the job's first */
  readonly kind?: AuxiliaryKind
  /** Those that it fits. @default all of the job */
  readonly sites?: readonly string[]
}

/** A small model of random weights at a host, the same weights for back-propagation, and what is drawn for them, all of which a key decides. */
export class Scene {
  /** For people: the seed and the kind of model. */
  readonly title: string
  readonly random: Random
  readonly model: LocalModel
  readonly backPropagation: BackPropagation
  readonly #key: string
  readonly #path: string
  readonly #host: Host
  readonly #store: BlobStore
  #made = 0

  private constructor (init: Pick<Scene, 'title' | 'random' | 'model' | 'backPropagation'>, key: string, path: string, host: Host, store: BlobStore) {
    this.title = init.title
    this.random = init.random
    this.model = init.model
    this.backPropagation = init.backPropagation
    this.#key = key
    this.#path = path
    this.#host = host
    this.#store = store
  }

  /** @param of the proposition, so that each has numbers of its own */
  static async open (of: string, seed: number, { folder, log }: SceneContext): Promise<Scene> {
    const key = `${seed}:${of}`
    const random = randomNumbers(key)
    const config = ARCHITECTURES[seed % ARCHITECTURES.length](random)
    const path = join(folder, 'model')
    await writeModel(path, config, random)
    const model = await LocalModel.open(path, {}, log)
    const store = new BlobStore()
    const jobs = new Jobs({ identity: await identityOf(`${key}:host`), store, log: error => log(String(error)) })
    const backPropagation = await BackPropagation.open(path)
    return new Scene({ title: `seed ${seed}, ${config.model_type}`, random, model, backPropagation }, key, path, new Host({ model, jobs }), store)
  }

  oneOf<T> (items: readonly T[]): T {
    return items[between(0, items.length - 1, this.random)]
  }

  /** Some of them, one at least, in their order. */
  someOf<T> (items: readonly T[], most = items.length): T[] {
    const keyed = items.map(item => ({ item, key: this.random() }))
    const chosen = [...keyed].sort((a, b) => a.key - b.key).slice(0, between(1, Math.min(most, items.length), this.random))
    return keyed.filter(one => chosen.includes(one)).map(({ item }) => item)
  }

  /** Names of some modules of the model at which all of the kinds can be, sorted. */
  sites (kinds: readonly AuxiliaryKind[]): string[] {
    const possible = this.model.info.sites.filter(site => kinds.every(kind => isPossible(kind, site)))
    return this.someOf(possible, SITES).map(({ name }) => name).sort()
  }

  /** A job that no other is. Its α is never 1, so that it is seen where it is missing. */
  job ({ interval = 1, sites, ...shape }: JobShape): Job {
    return this.#jobAt(sites ?? this.sites(shape.kinds), { interval, ...shape })
  }

  #jobAt (sites: readonly string[], shape: Omit<Job, 'name' | 'model' | 'sites' | 'auxiliary' | 'seed'>): Job {
    const own = <T>(value: () => T): Record<string, T> => Object.fromEntries(sites.filter(() => this.random() < 0.3).map(site => [site, value()]))
    const rank = (): number => between(1, 4, this.random)
    const alpha = (): number => 0.3 + 2.7 * this.random()
    const auxiliary = { rank: rank(), alpha: alpha(), ranks: own(rank), alphas: own(alpha), rankStabilised: this.random() < 0.3 }
    return { name: `verify ${this.#made++}`, model: this.model.info.id, sites, auxiliary, seed: 0, ...shape }
  }

  /** A member of it, whose auxiliaries are not at their start: none of their parameters is zero. */
  async member (job: Job, { kind = job.kinds[0], sites = job.sites }: MemberShape = {}): Promise<Trainer> {
    const spec = { kind, ...job.auxiliary }
    return await Trainer.join({
      identity: await identityOf(`${this.#key}:${this.#made++}`),
      host: this.#host,
      store: this.#store,
      job,
      spec,
      adapter: this.#adapter(spec, sites),
      tokens: between(100, 1000, this.random)
    })
  }

  /** Rows that come to no kink of the model and of the auxiliaries that they meet: of a ReLU, or of a choice of the largest. */
  async batch (met: readonly Share[]): Promise<Batch> {
    for (;;) {
      const batch = randomRows(this.model.info, between(2, 4, this.random), this.random)
      const longEnough = [...batch.tensors.values()].every(({ shape }) => shape.length !== 2 || shape[1] >= SHORTEST)
      if (longEnough && !(await this.backPropagation.distanceToKink(batch, met) <= NEAR_KINK)) return batch
    }
  }

  #adapter (spec: AuxiliarySpec, sites: readonly string[]): AdapterTensors {
    const chosen = this.model.info.sites.filter(({ name }) => sites.includes(name))
    return new Map(chosen.map(site => [site.name, new Map([...parameterShapes(spec, site)].map(([name, shape]): [string, FloatTensor] => {
      const bound = 1 / Math.sqrt(shape.at(-1) ?? 1)
      return [name, { shape, values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => bound * (2 * this.random() - 1)) }]
    }))]))
  }

  async dispose (): Promise<void> {
    await this.model.dispose()
    await rm(this.#path, { recursive: true })
  }
}

function isPossible (kind: AuxiliaryKind, site: Site): boolean {
  try {
    return parameterShapes({ kind, rank: 1, alpha: 1 }, site).size > 0
  } catch {
    return false
  }
}

async function identityOf (key: string): Promise<PrivateKey> {
  return await generateKeyPairFromSeed('Ed25519', createHash('sha256').update(key).digest())
}
