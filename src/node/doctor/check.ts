import { Deadline, unlessAborted } from '../../protocols/deadline.js'

/** What was found where something was looked at. */
export interface Finding {
  /** `skipped` where it could not be looked at: something else is wrong, or it is not there to be right or wrong. */
  readonly state: 'ok' | 'failed' | 'skipped'
  /** What is the case. */
  readonly detail: string
  /** What to do, where it failed. */
  readonly advice: string | null
}

/** One thing that a node needs. */
export interface Check {
  readonly name: string
  /** What to do where it does not come to an end. */
  readonly unended: string
  readonly look: (signal: AbortSignal) => Promise<Finding>
}

/** What was found, and in which time. */
export interface Checked extends Finding {
  readonly name: string
  readonly milliseconds: number
}

export function ok (detail: string): Finding {
  return { state: 'ok', detail, advice: null }
}

export function failed (detail: string, advice: string): Finding {
  return { state: 'failed', detail, advice }
}

export function skipped (detail: string): Finding {
  return { state: 'skipped', detail, advice: null }
}

/**
 * Looks once. It ends in time whatever happens, and nothing but the end of the signal is thrown: what fails is a finding.
 *
 * @param timeout in milliseconds
 */
export async function examine ({ name, unended, look }: Check, timeout: number, signal: AbortSignal): Promise<Checked> {
  const begun = performance.now()
  const deadline = new Deadline(timeout, name, signal)
  const found = await unlessAborted(look(deadline.signal), deadline.signal).catch((error: unknown): Finding => {
    signal.throwIfAborted()
    if (deadline.signal.aborted) return failed(`nothing within ${timeout / 1000} s`, unended)
    return failed(error instanceof Error ? `${error.name}: ${error.message}` : String(error), unended)
  }).finally(() => deadline.clear())
  return { name, ...found, milliseconds: Math.round(performance.now() - begun) }
}
