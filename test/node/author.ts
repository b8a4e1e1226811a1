import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { encodeAdapter } from '../../src/gl/adapter-message.js'
import { type Job, jobId } from '../../src/job.js'
import { type ContributionRecord, type RecordFields, signRecord } from '../../src/protocols/contribution/index.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import type { AdapterTensors, AuxiliarySpec, Mode } from '../../src/types.js'
import { randomAdapter, SITES } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'

export const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 4 }

export function jobOf (mode: Mode): Job {
  const { kind, rank, alpha } = SPEC
  return { name: 'cooking', model: 'a'.repeat(64), sites: SITES.map(({ name }) => name).sort(), auxiliary: { rank, alpha }, kinds: [kind], mode, merge: mode === 'collaboration' ? 'during' : 'never', interval: 1, seed: 7 }
}

/** An adapter of the job's shapes, one for each seed. */
export function adapterOf (seed: number): AdapterTensors {
  return randomAdapter(SPEC, SITES, seeded(seed))
}

/** A signed record, and the bytes that it names. */
export interface Signed {
  readonly record: ContributionRecord
  readonly bytes: Uint8Array
}

/** A trainer somewhere else, of which only what it signs comes here. */
export class Author {
  readonly key: PrivateKey
  readonly peer: string
  readonly #job: string

  private constructor (key: PrivateKey, job: Job) {
    this.key = key
    this.peer = peerIdFromPrivateKey(key).toString()
    this.#job = jobId(job)
  }

  static async of (job: Job): Promise<Author> {
    return new Author(await generateKeyPair('Ed25519'), job)
  }

  /** Some of the same job. */
  static async several (count: number, job: Job): Promise<Author[]> {
    return await Promise.all(Array.from({ length: count }, async () => await Author.of(job)))
  }

  async signs (adapter: AdapterTensors, fields: Partial<RecordFields> & Pick<RecordFields, 'round'>): Promise<Signed> {
    return await this.signsBytes(encodeAdapter(adapter), fields)
  }

  /** What may be no auxiliary at all. */
  async signsBytes (bytes: Uint8Array, fields: Partial<RecordFields> & Pick<RecordFields, 'round'>): Promise<Signed> {
    const record = await signRecord(this.key, { job: this.#job, tokens: 100, final: false, manifest: manifestOf(bytes), ...fields })
    return { record, bytes }
  }
}
