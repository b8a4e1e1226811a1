import { readFile, rm } from 'node:fs/promises'
import { z } from 'zod'
import { InvalidTensorError } from '../../errors.js'
import { replaceFile } from '../../files.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../../tensor/safetensors.js'
import type { AdapterTensors, FloatTensor, NamedTensors } from '../../types.js'
import type { Version } from './own-versions.js'

/** How far a run has come. */
export interface Progress {
  /** Steps done. */
  readonly step: number
  /** Tokens that counted in the losses so far. */
  readonly tokens: number
  /** One a step, before its fit; none of a step without rows. */
  readonly losses: readonly number[]
  /** Time spent training, in milliseconds. */
  readonly milliseconds: number
  /** Steps that were one pass with those of others. */
  readonly sharedSteps: number
  /** Held-out loss of the base model alone; null where nothing is held out, or it was not taken yet. */
  readonly baseLoss: number | null
  /** Steps whose data were made with an auxiliary that had been fitted since: tries that were refused, and those that were weighted less. */
  readonly stale: { readonly refused: number, readonly decayed: number }
}

export interface Checkpoint {
  readonly progress: Progress
  /** The trainer's own auxiliaries. */
  readonly adapter: AdapterTensors
  /** See `Learner.state`. */
  readonly learner: NamedTensors
  /** Those of the trainer's earlier auxiliaries with which steps are under way, oldest first. */
  readonly older: readonly Version[]
}

/** Nobody else may read it: what hides the rows of a private run is in it, and sums of them that have no noise yet. */
const MODE = 0o600

const ADAPTER = 'adapter|'
const LEARNER = 'learner|'
const OLDER = 'older|'

const count = z.number().int().nonnegative()

const progressSchema = z.object({
  run: z.string(),
  step: count,
  tokens: count,
  losses: z.array(z.number()),
  milliseconds: z.number().nonnegative(),
  sharedSteps: count,
  baseLoss: z.number().nullable(),
  stale: z.object({ refused: count, decayed: count }),
  older: z.array(z.object({ fits: count, tokens: count }))
})

/** A run's state in one file, so that the same command goes on where it was ended, or killed. */
export class CheckpointFile {
  readonly path: string
  readonly #run: string

  /** @param run names all that decides the run's numbers: what another run has left is not gone on with */
  constructor (path: string, run: string) {
    this.path = path
    this.#run = run
  }

  /**
   * What was saved of this run; undefined if there is nothing, or another run's.
   *
   * @throws {InvalidTensorError} if the file is damaged; it is left as it is
   */
  async load (): Promise<Checkpoint | undefined> {
    const bytes = await readFile(this.path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    })
    if (bytes === undefined) return undefined
    try {
      const { tensors, metadata } = decodeSafetensors(bytes)
      const { run, older, ...progress } = progressSchema.parse(JSON.parse(metadata.colanet))
      if (run !== this.#run) return undefined
      return {
        progress,
        adapter: adapterOf(starting(tensors, ADAPTER)),
        learner: starting(tensors, LEARNER),
        older: older.map(version => ({ ...version, adapter: adapterOf(starting(tensors, olderPrefix(version))) }))
      }
    } catch (cause) {
      throw new InvalidTensorError(`${this.path} is damaged (${(cause as Error).message}); move it away to begin anew`, { cause })
    }
  }

  /** Whole or not at all. */
  async save ({ progress, adapter, learner, older }: Checkpoint): Promise<void> {
    const own = named(adapter, ADAPTER)
    const others = older.flatMap(version => named(version.adapter, olderPrefix(version)))
    const rest = [...learner].map(([name, tensor]) => [LEARNER + name, tensor] as const)
    const metadata = { colanet: JSON.stringify({ run: this.#run, ...progress, older: older.map(({ fits, tokens }) => ({ fits, tokens })) }) }
    await replaceFile(this.path, encodeSafetensors(new Map([...own, ...others, ...rest]), { metadata }), MODE)
  }

  async remove (): Promise<void> {
    await rm(this.path, { force: true })
  }
}

function olderPrefix ({ fits }: Pick<Version, 'fits'>): string {
  return `${OLDER}${fits}|`
}

function named (adapter: AdapterTensors, prefix: string): Array<readonly [string, FloatTensor]> {
  return [...adapter].flatMap(([site, tensors]) => [...tensors].map(([name, tensor]) => [`${prefix}${site}|${name}`, tensor] as const))
}

function starting (tensors: NamedTensors, prefix: string): NamedTensors {
  return new Map([...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]))
}

function adapterOf (tensors: NamedTensors): AdapterTensors {
  const adapter = new Map<string, Map<string, FloatTensor>>()
  for (const key of tensors.keys()) {
    const [site, name] = key.split('|')
    adapter.set(site, (adapter.get(site) ?? new Map<string, FloatTensor>()).set(name, floatTensor(tensors, key)))
  }
  return adapter
}
