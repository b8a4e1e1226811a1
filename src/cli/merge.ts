import { InvalidOptionError } from '../errors.js'
import { readAdapter, writeAdapter } from '../gl/peft.js'
import { sumOfDeltas } from '../merge/sum-of-deltas.js'
import type { Delta, Limit } from '../merge/truncate.js'
import { openModelFolder } from '../model/model-folder.js'
import { selectSites } from '../model/sites.js'
import { writeModel } from '../model/write-model.js'
import { changesOf } from '../node/host/weight-changes.js'
import { adapterOf, mergedMatrices, ranksOf, truncated } from '../node/merging.js'
import { defineCommand } from './command.js'
import { checkEmpty } from './empty-folder.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { terminalReporter } from './reporter.js'

/** Several adapters as one, or as a model of its own. */
export const merge = defineCommand({
  command: 'merge',
  describe: 'Makes one adapter of several, or a model of its own: the weighted sum of what they change in the base model\'s weights',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet)' },
    adapter: { type: 'files', required: true, describe: 'PEFT adapter folders; ranks, scales and sites may differ' },
    weights: { type: 'list', describe: 'what each adapter counts, in their order; need not sum to one (default: equal shares of one)' },
    rank: { type: 'integer', min: 1, describe: 'rank to which the sum is truncated (default: the sum of the ranks, which is exact)' },
    maxError: { type: 'number', min: 0, max: 1, describe: 'or the relative error, in the Frobenius norm, that a site may have: it gets the least rank for it' },
    merged: { type: 'boolean', describe: 'write the base model with the sum in its weights, as float32, in place of an adapter' },
    out: { type: 'string', required: true, describe: 'where it goes: a folder that is empty or not there yet' }
  },
  examples: [
    ['merge --adapter anna ben --out both', 'the mean of two adapters, exact'],
    ['merge --adapter anna ben --weights 0.7,0.5 --rank 8 --out both', 'of rank 8, with the error that this costs'],
    ['merge --model ~/models/gpt2 --adapter mine --merged --out gpt2-mine', 'a model that needs no adapter']
  ],
  handler: async ({ model: folder = EMBEDDED_MODEL, adapter: paths, weights: given, rank, maxError, merged, out }, { signal, progress, report, log }) => {
    const weights = weightsOf(given, paths)
    const limit = limitOf(rank, maxError)
    await checkEmpty(out)
    const adapters = await Promise.all(paths.map(async path => await readAdapter(path)))
    const reporter = terminalReporter({ progress, log })
    try {
      const model = await openModelFolder(folder)
      const { info } = model.network
      const sum = sumOfDeltas(adapters.map(({ spec, tensors }) => changesOf(spec, tensors, selectSites(info, [...tensors.keys()]))), weights)
      const { deltas, error } = limit === undefined
        ? { deltas: sum, error: 0 }
        : await truncated(sum, limit, { signal, onProgress: (done, total) => reporter.progress('truncating', done, total) })
      const reached = rankReport(deltas)
      if (merged) {
        await writeModel(model, out, mergedMatrices(model, deltas), { dtype: 'F32', signal, onProgress: (done, total) => reporter.progress('writing', done, total) })
      } else {
        await writeAdapter(out, adapterOf(deltas), { ...info, name: model.name })
      }
      await report(
        { weights, rank: reached, error, sites: [...deltas.keys()], [merged ? 'model' : 'adapter']: out },
        `${paths.length} ${paths.length === 1 ? 'adapter' : 'adapters'}, weights ${weights.join(', ')}, ${deltas.size} sites, ${describeRank(reached)}, relative error ${error.toPrecision(3)}\n${merged ? 'model' : 'adapter'} ${out}`
      )
    } finally {
      reporter.end()
    }
  }
})

function weightsOf (given: readonly string[] | undefined, adapters: readonly string[]): number[] {
  if (given === undefined) return adapters.map(() => 1 / adapters.length)
  const weights = given.map(word => word.trim() === '' ? NaN : Number(word))
  if (weights.length !== adapters.length) throw new InvalidOptionError(`--weights gives ${weights.length} numbers and --adapter ${adapters.length} folders; use one for each`)
  const wrong = weights.findIndex(weight => !Number.isFinite(weight))
  if (wrong >= 0) throw new InvalidOptionError(`--weights ${JSON.stringify(given[wrong])} is not a number; use numbers such as 0.5,0.5`)
  return weights
}

function limitOf (rank: number | undefined, maxError: number | undefined): Limit | undefined {
  if (rank !== undefined && maxError !== undefined) throw new InvalidOptionError('--rank and --max-error both say how far to truncate; use one of them')
  if (rank !== undefined) return { rank }
  return maxError === undefined ? undefined : { maxError }
}

/** One number where all sites have the same; null where a site's sum is a matrix, and so the whole adapter matrices. */
function rankReport (deltas: ReadonlyMap<string, Delta>): number | Record<string, number> | null {
  const ranks = ranksOf(deltas)
  const different = [...new Set(ranks.values())]
  if (ranks.size < deltas.size) return null
  return different.length === 1 ? different[0] : Object.fromEntries(ranks)
}

function describeRank (rank: ReturnType<typeof rankReport>): string {
  if (rank === null) return 'matrices'
  if (typeof rank === 'number') return `rank ${rank}`
  const ranks = Object.values(rank)
  return `ranks ${Math.min(...ranks)} to ${Math.max(...ranks)}`
}
