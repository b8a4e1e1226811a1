import { setImmediate as turn } from 'node:timers/promises'
import { InvalidAdapterError } from '../errors.js'
import type { Adapter } from '../gl/peft/adapter.js'
import { matrixOfDelta } from '../merge/sum-of-deltas.js'
import { type Delta, type Limit, relativeError, truncate, type Truncated } from '../merge/truncate.js'
import { type ModelFolder, readMatrix } from '../model/model-folder.js'
import type { Replacement } from '../model/write-model.js'
import type { FloatTensor } from '../types.js'

/** ΔW of every site, and what was left out of it. */
export interface MergedDeltas {
  readonly deltas: ReadonlyMap<string, Delta>
  /** ‖ΔW − ΔW_r‖ / ‖ΔW‖ (Frobenius) over all sites together. */
  readonly error: number
}

/**
 * Truncates every site. Other work of the process gets its turn in between.
 *
 * @param onProgress is called after each site with those done so far, and all
 * @throws the signal's reason when it ends
 */
export async function truncated (
  deltas: ReadonlyMap<string, Delta>, limit: Limit, { onProgress, signal }: { readonly onProgress: (done: number, total: number) => void, readonly signal: AbortSignal }
): Promise<MergedDeltas> {
  const made = new Map<string, Truncated>()
  for (const [site, delta] of deltas) {
    made.set(site, truncate(delta, limit))
    onProgress(made.size, deltas.size)
    await turn()
    signal.throwIfAborted()
  }
  return { deltas: made, error: relativeError([...made.values()]) }
}

/** Rank of each site's factors; none of a site whose ΔW is a matrix. */
export function ranksOf (deltas: ReadonlyMap<string, Delta>): Map<string, number> {
  return new Map([...deltas].flatMap(([site, delta]) => 'a' in delta ? [[site, delta.a.shape[0]] as const] : []))
}

/**
 * ΔW as one adapter, whose α is 1 everywhere: of factors, or where a site's ΔW is a matrix of matrices alone.
 *
 * @throws {InvalidAdapterError} if there is no site
 */
export function adapterOf (deltas: ReadonlyMap<string, Delta>): Adapter {
  if (deltas.size === 0) throw new InvalidAdapterError('there is no site to merge')
  const ranks = ranksOf(deltas)
  if (ranks.size < deltas.size) {
    const tensors = new Map([...deltas].map(([site, delta]) => [site, new Map([['weight', matrixOfDelta(delta)]])]))
    return { spec: { kind: 'linear', rank: 1, alpha: 1 }, tensors }
  }
  const rank = Math.max(...ranks.values())
  const others = Object.fromEntries([...ranks].filter(([, own]) => own !== rank))
  return {
    spec: { kind: 'low-rank', rank, alpha: rank, ...(Object.keys(others).length > 0 && { ranks: others, alphas: others }) },
    tensors: new Map([...deltas].flatMap(([site, delta]) => 'a' in delta ? [[site, new Map([['lora_A.weight', delta.a], ['lora_B.weight', delta.b]])] as const] : []))
  }
}

/** A model's matrices with ΔW added, summed in float32 as PEFT does; read and added when they are written. */
export function mergedMatrices (model: ModelFolder, deltas: ReadonlyMap<string, Delta>): Map<string, Replacement> {
  return new Map([...deltas].map(([site, delta]) => [site, {
    weight: async () => sum(await readMatrix(model, site), matrixOfDelta(delta))
  }]))
}

function sum ({ shape, values }: FloatTensor, { values: others }: FloatTensor): FloatTensor {
  return { shape, values: values.map((value, i) => value + others[i]) }
}
