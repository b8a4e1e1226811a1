import { InvalidOptionError, QuotaError } from '../../errors.js'

/** What a host has of any one trainer at most. Who wants more is told to wait. */
export interface TrainerQuotas {
  /** Tokens that it runs in a minute, padding included. @default no limit */
  readonly tokensPerMinute: number
  /** Jobs that it has had open or steps of in the last ten minutes. @default 64 */
  readonly jobs: number
  /** Adaptation data of earlier steps that wait to be pulled, in bytes: with as many no further step is run. @default 512 MiB */
  readonly waitingBytes: number
}

export const DEFAULT_QUOTAS: TrainerQuotas = { tokensPerMinute: Number.MAX_SAFE_INTEGER, jobs: 64, waitingBytes: 512 * 1024 * 1024 }

/** How long a job counts as open that nothing was asked of, in milliseconds. */
const JOB_LEASE = 10 * 60_000

const MINUTE = 60_000

/** Trainers of which it is remembered what they had; who did nothing for longest leaves first. Peers cost nothing to make up. */
const MAX_TRAINERS = 4096

interface Account {
  /** Tokens that it may have now; below 0 after a batch of more than were left. */
  readonly tokens: number
  readonly at: number
  /** When each of its jobs was asked for last. */
  readonly jobs: ReadonlyMap<string, number>
}

/** Keeps the accounts of a host's trainers. */
export class TrainerAccounts {
  readonly #quotas: TrainerQuotas
  readonly #now: () => number
  /** In the order of use. */
  readonly #accounts = new Map<string, Account>()

  /**
   * @param now in milliseconds
   * @throws {InvalidOptionError} if a quota is no whole number from 1
   */
  constructor (quotas: Partial<TrainerQuotas> = {}, now = () => performance.now()) {
    this.#quotas = { ...DEFAULT_QUOTAS, ...quotas }
    this.#now = now
    for (const [name, value] of Object.entries(this.#quotas)) {
      if (!Number.isSafeInteger(value) || value < 1) throw new InvalidOptionError(`a quota of ${value} ${name} is not possible; use a whole number from 1`)
    }
  }

  /**
   * A job is opened, or a step of it asked for.
   *
   * @throws {QuotaError} if the trainer has too many others
   */
  useJob (trainer: string, job: string): void {
    const account = this.#accountOf(trainer)
    const jobs = new Map([...account.jobs].filter(([id, at]) => id !== job && account.at - at < JOB_LEASE))
    if (jobs.size >= this.#quotas.jobs) {
      const wait = Math.min(...jobs.values()) + JOB_LEASE - account.at
      throw new QuotaError(`${jobs.size} jobs of this trainer are open here, and no more may be; the one that was not used for longest makes room in ${seconds(wait)} s`)
    }
    this.#put(trainer, { ...account, jobs: jobs.set(job, account.at) })
  }

  /**
   * A step of so many tokens is to run. A batch that is larger than the quota runs when nothing of a minute's is used.
   *
   * @param waiting bytes of earlier steps that wait to be pulled
   * @throws {QuotaError} if it has to wait
   */
  useTokens (trainer: string, tokens: number, waiting: number): void {
    const { waitingBytes, tokensPerMinute } = this.#quotas
    if (waiting >= waitingBytes) {
      throw new QuotaError(`${waiting} bytes of earlier steps wait here for this trainer, and no more than ${waitingBytes} may; it is to pull them first, and what it does not want leaves after ten minutes`)
    }
    const account = this.#accountOf(trainer)
    const missing = Math.min(tokens, tokensPerMinute) - account.tokens
    if (missing > 0) {
      throw new QuotaError(`this host runs at most ${tokensPerMinute} tokens a minute for a trainer; there is room for these ${tokens} in ${seconds(missing / tokensPerMinute * MINUTE)} s`)
    }
    this.#put(trainer, { ...account, tokens: account.tokens - tokens })
  }

  #accountOf (trainer: string): Account {
    const { tokensPerMinute } = this.#quotas
    const now = this.#now()
    const { tokens, at, jobs } = this.#accounts.get(trainer) ?? { tokens: tokensPerMinute, at: now, jobs: new Map<string, number>() }
    return { tokens: Math.min(tokensPerMinute, tokens + tokensPerMinute * (now - at) / MINUTE), at: now, jobs }
  }

  #put (trainer: string, account: Account): void {
    this.#accounts.delete(trainer)
    this.#accounts.set(trainer, account)
    if (this.#accounts.size > MAX_TRAINERS) this.#accounts.delete(this.#accounts.keys().next().value ?? '')
  }
}

function seconds (milliseconds: number): number {
  return Math.ceil(milliseconds / 1000)
}
