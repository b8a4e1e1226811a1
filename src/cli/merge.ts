import { BatchSource, heldOutBatches } from '../data/batches.js'
import { startBackend } from '../engine/backend.js'
import { openEngine } from '../engine/open-engine.js'
import { InvalidDataError, InvalidOptionError } from '../errors.js'
import { readAdapter } from '../gl/peft/read-adapter.js'
import { writeAdapter } from '../gl/peft/write-adapter.js'
import { sumOfDeltas } from '../merge/sum-of-deltas.js'
import type { Delta, Limit } from '../merge/truncate.js'
import { BaseModel } from '../model/base-model.js'
import { type ModelFolder, openModelFolder } from '../model/model-folder.js'
import { selectSites } from '../model/sites.js'
import { writeModel } from '../model/write-model.js'
import { loadDataset } from '../node/dataset.js'
import { changesOf } from '../node/host/weight-changes.js'
import { type LearnedMerge, learnMerge, type MergeLearningInit } from '../node/merge-learning.js'
import { adapterOf, mergedMatrices, ranksOf, truncated } from '../node/merging.js'
import { sourceInFolder } from '../node/model-source.js'
import { defineCommand } from './command.js'
import { checkEmpty } from './empty-folder.js'
import { COMPUTE_OPTIONS, computeOptions } from './engine.js'
import type { Values } from './options.js'
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
    validation: { type: 'files', describe: 'a little data, as train takes them, on which the weights are learned by Gradient Learning, beginning with those given' },
    steps: { type: 'integer', min: 1, default: 50, describe: 'batches of --validation' },
    lr: { type: 'number', above: 0, default: 0.05, describe: 'peak learning rate of the weights' },
    fit: { type: 'integer', min: 1, describe: 'rank of one more adapter that is fitted on --validation, against what the others do to each other (default: none)' },
    fitLr: { type: 'number', above: 0, default: 1e-3, describe: 'its peak learning rate' },
    batchSize: { type: 'integer', min: 1, default: 8, describe: 'rows in a batch' },
    length: { type: 'integer', min: 2, describe: 'tokens in a row (default: 128, or what the model takes)' },
    heldOut: { type: 'number', above: 0, max: 0.9, default: 0.2, describe: 'share of --validation on which the losses are taken' },
    seed: { type: 'integer', min: 0, max: 2 ** 32 - 1, default: 0, describe: 'decides the order of the data, and the start of --fit' },
    merged: { type: 'boolean', describe: 'write the base model with the sum in its weights, as float32, in place of an adapter' },
    out: { type: 'string', required: true, describe: 'where it goes: a folder that is empty or not there yet' },
    ...COMPUTE_OPTIONS
  },
  examples: [
    ['merge --adapter anna ben --out both', 'the mean of two adapters, exact'],
    ['merge --adapter anna ben --weights 0.7,0.5 --rank 8 --out both', 'of rank 8, with the error that this costs'],
    ['merge --adapter anna ben --validation both.txt --fit 4 --out both', 'with weights, and an adapter of rank 4 beside, that are learned'],
    ['merge --model ~/models/gpt2 --adapter mine --merged --out gpt2-mine', 'a model that needs no adapter']
  ],
  handler: async ({ model: folder = EMBEDDED_MODEL, adapter: paths, weights: given, rank, maxError, merged, out, validation, fit, ...learning }, { signal, progress, report, log }) => {
    const weights = weightsOf(given, paths)
    const limit = limitOf(rank, maxError)
    if (fit !== undefined && validation === undefined) throw new InvalidOptionError(`--fit ${fit} needs data; give --validation`)
    await checkEmpty(out)
    const adapters = await Promise.all(paths.map(async path => await readAdapter(path)))
    const reporter = terminalReporter({ progress, log })
    const onProgress = (what: string) => (done: number, total: number): void => reporter.progress(what, done, total)
    try {
      const model = await openModelFolder(folder)
      const { info } = model.network
      const changes = adapters.map(({ spec, tensors }) => changesOf(spec, tensors, selectSites(info, [...tensors.keys()])))
      const { deltas: sum, ...learned } = validation === undefined
        ? { weights, deltas: sumOfDeltas(changes, weights) }
        : await learnOn(validation, model, { ...learning, adapters, weights, ...(fit !== undefined && { fitRank: fit }) }, { reporter, signal })
      const { deltas, error } = limit === undefined ? { deltas: sum, error: 0 } : await truncated(sum, limit, { signal, onProgress: onProgress('truncating') })
      if (merged) await writeModel(model, out, mergedMatrices(model, deltas), { dtype: 'F32', signal, onProgress: onProgress('writing') })
      else await writeAdapter(out, adapterOf(deltas), { ...info, name: model.name })
      const reached = rankReport(deltas)
      await report({ ...learned, rank: reached, error, sites: [...deltas.keys()], [merged ? 'model' : 'adapter']: out }, [
        `${paths.length} ${paths.length === 1 ? 'adapter' : 'adapters'}, weights ${learned.weights.map(weight => weight.toPrecision(3)).join(', ')}, ${deltas.size} sites, ${describeRank(reached)}, relative error ${error.toPrecision(3)}`,
        ...('loss' in learned ? [describeLoss(learned)] : []),
        `${merged ? 'model' : 'adapter'} ${out}`
      ].join('\n'))
    } finally {
      reporter.end()
    }
  }
})

interface Learning extends Values<typeof COMPUTE_OPTIONS>, Pick<MergeLearningInit, 'adapters' | 'weights' | 'steps' | 'seed'>, Partial<Pick<MergeLearningInit, 'fitRank'>> {
  readonly lr: number
  readonly fitLr: number
  readonly batchSize: number
  readonly length: number | undefined
  readonly heldOut: number
}

/** Opens the model, reads the data, and learns. */
async function learnOn (
  paths: readonly string[], folder: ModelFolder, { lr, fitLr, batchSize, length, heldOut: heldOutShare, ...learning }: Learning, { reporter, signal }: Pick<MergeLearningInit, 'reporter' | 'signal'>
): Promise<LearnedMerge> {
  const { backend } = learning
  await startBackend(backend)
  const model = await BaseModel.open(folder, async weights => await openEngine(weights, computeOptions(learning), line => reporter.log(line)))
  try {
    reporter.log(`computes on ${model.engine.description}`)
    const { train, heldOut } = await loadDataset(sourceInFolder(folder.folder, model.info), {
      paths, heldOutShare, ...(length !== undefined && { length }), signal, onProgress: (done, total) => reporter.progress('reading data', done, total)
    })
    if (heldOut.count === 0) throw new InvalidDataError(`${paths.join(', ')}: there is too little to hold any out; give more, since the losses are taken on what is not learned from`)
    const sites = new Set(learning.adapters.flatMap(({ tensors }) => [...tensors.keys()]))
    return await learnMerge({
      ...learning,
      model,
      reporter,
      signal,
      rate: lr,
      fitRate: fitLr,
      sites: model.info.sites.filter(({ name }) => sites.has(name)),
      batches: new BatchSource(train, { batchSize, seed: learning.seed }),
      heldOut: heldOutBatches(heldOut, batchSize)
    })
  } finally {
    await model.dispose()
  }
}

function describeLoss ({ loss, kept }: Pick<LearnedMerge, 'loss' | 'kept'>): string {
  return `held-out loss ${loss.before.toFixed(4)} → ${loss.after.toFixed(4)}${kept === 'learned' ? '' : '; that is no better, so that what was given stands'}`
}

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
