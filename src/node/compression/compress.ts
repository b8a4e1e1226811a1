import type { Batches } from '../../data/batches.js'
import { GradientLearner } from '../../gl/gradient-learner.js'
import { Optimizer } from '../../gl/optimizer.js'
import { createSchedule } from '../../gl/schedule.js'
import type { BaseModel } from '../../model/base-model.js'
import { type ModelFolder, readMatrix } from '../../model/model-folder.js'
import { dtypeOf, type Replacement } from '../../model/write-model.js'
import { narrow, widen } from '../../tensor/stored.js'
import type { AdapterTensors, AuxiliaryTensors, FloatTensor, Site } from '../../types.js'
import { evaluateRows, scoresOf } from '../evaluation.js'
import type { Reporter } from '../reporter.js'
import { inputMoments, outputError } from './moments.js'
import { type CompressionMethod, MAKERS, type StandIn } from './stand-ins.js'

export interface CompressInit {
  readonly folder: ModelFolder
  /** The same model, where it runs. */
  readonly model: BaseModel
  readonly sites: readonly Site[]
  readonly method: CompressionMethod
  /** Parameters that a stand-in may have, of what its module's matrix has; see `checkRatio`. */
  readonly ratio: number
  /** By number, from 0. */
  readonly batches: Pick<Batches, 'at'>
  readonly heldOut: Batches
  readonly steps: number
  /** The highest learning rate. */
  readonly rate: number
  readonly reporter: Reporter
  readonly signal: AbortSignal
}

/** What has come of a compression. Losses are of the whole model on held-out data. */
export interface Compressed {
  readonly loss: { readonly before: number, readonly truncated: number, readonly fitted: number }
  /** Of the sites' matrices. */
  readonly parameters: { readonly before: number, readonly after: number }
  readonly sites: ReadonlyArray<{ readonly site: string, readonly error: number } & StandIn['size']>
  /** Which of the two has the lower loss: it is the one that is given. */
  readonly kept: 'truncated' | 'fitted'
  readonly replacements: ReadonlyMap<string, Replacement>
}

/** Batches over which inputs are summed, before the first step. */
const MOMENT_BATCHES = 16

/** The gradients of a fit are scaled down to this global norm. */
const MAX_NORM = 1

/**
 * Replaces matrices by smaller stand-ins, and fits these by Gradient Learning (arXiv 2404.13844): each starts where its outputs
 * ĥ are nearest to the module's own, and is then moved by (x, ∇ĥ) of passes in which it stands in already, θ + ΔW with
 * ΔW = stand-in − θ.
 *
 * @throws {NonFiniteError} if a loss or a gradient is not finite
 * @throws the signal's reason when it ends
 */
export async function compress (init: CompressInit): Promise<Compressed> {
  const { model, heldOut, reporter, signal, steps, batches, sites } = init
  const lossOn = async (what: string): Promise<number> =>
    scoresOf(await evaluateRows(model, heldOut, { signal, onProgress: done => reporter.progress(what, done, heldOut.count) })).loss
  const before = await lossOn('loss before')
  const moments = await inputMoments(model, { count: Math.min(MOMENT_BATCHES, steps), at: async batch => await batches.at(batch) }, sites, {
    signal, onProgress: (done, total) => reporter.progress('looking at inputs', done, total)
  })
  const standIns = await startOf(init, moments)
  const learner = learnerOf(init, standIns)
  try {
    const start = asWritten(init, await learner.adapter())
    await standIn(init, standIns, start)
    const truncated = await lossOn('loss truncated')
    for (let step = 0; step < steps; step++) {
      signal.throwIfAborted()
      await standIn(init, standIns, await learner.adapter())
      const [{ loss, pairs }] = await model.pass([await batches.at(step)], { sites })
      for (const [site, pair] of pairs) learner.gather(site, pair)
      learner.endBatch()
      await learner.fit()
      learner.assign(restrained(standIns, await learner.adapter()))
      reporter.progress('fitting', step + 1, steps, `loss ${loss.toFixed(4)}`)
    }
    const end = asWritten(init, await learner.adapter())
    await standIn(init, standIns, end)
    const fitted = await lossOn('loss fitted')
    const kept = fitted < truncated ? 'fitted' : 'truncated'
    return { loss: { before, truncated, fitted }, kept, ...await outcomeOf(init, standIns, kept === 'fitted' ? end : start, moments) }
  } finally {
    learner.dispose()
  }
}

type StandIns = ReadonlyMap<string, StandIn>

async function startOf ({ folder, sites, method, ratio, reporter, signal }: CompressInit, moments: ReadonlyMap<string, FloatTensor>): Promise<Map<string, StandIn>> {
  const made = new Map<string, StandIn>()
  try {
    for (const site of sites) {
      const moment = momentOf(moments, site.name)
      made.set(site.name, MAKERS[method]({ site, weight: await readMatrix(folder, site.name), moment, ratio }))
      reporter.progress('making stand-ins', made.size, sites.length)
      signal.throwIfAborted()
    }
    return made
  } catch (error) {
    for (const { auxiliary } of made.values()) auxiliary.dispose()
    throw error
  }
}

function learnerOf ({ steps, rate }: CompressInit, standIns: StandIns): GradientLearner {
  return new GradientLearner({
    auxiliaries: [...standIns.values()].map(({ auxiliary }) => auxiliary),
    optimizer: new Optimizer('adamw', 0),
    schedule: createSchedule({ kind: 'linear', rate, fits: steps }),
    interval: 1,
    maxNorm: MAX_NORM
  })
}

/** Lets stand-ins stand in the model, as they are given. */
async function standIn ({ model }: CompressInit, standIns: StandIns, adapter: AdapterTensors): Promise<void> {
  await model.merge(new Map([...standIns].map(([site, { change }]) => [site, change(tensorsAt(adapter, site))])))
}

function restrained (standIns: StandIns, adapter: AdapterTensors): AdapterTensors {
  return new Map([...standIns].map(([site, { restrained }]) => [site, restrained(tensorsAt(adapter, site))]))
}

/** Rounded to the dtype in which they are going to lie, so that losses are of what is written. */
function asWritten ({ folder }: CompressInit, adapter: AdapterTensors): AdapterTensors {
  return new Map([...adapter].map(([site, tensors]) => {
    const dtype = dtypeOf(folder, site)
    return [site, dtype === 'F32' ? tensors : new Map([...tensors].map(([name, { shape, values }]) => [name, { shape, values: widen(narrow(values, dtype), dtype) }]))]
  }))
}

async function outcomeOf ({ folder, sites }: CompressInit, standIns: StandIns, adapter: AdapterTensors, moments: ReadonlyMap<string, FloatTensor>): Promise<Pick<Compressed, 'parameters' | 'sites' | 'replacements'>> {
  const told: Array<Compressed['sites'][number]> = []
  for (const [site, { matrix, size }] of standIns) {
    const error = await outputError(await readMatrix(folder, site), matrix(tensorsAt(adapter, site)), momentOf(moments, site))
    told.push({ site, ...size, error })
  }
  return {
    parameters: {
      before: sites.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0),
      after: [...standIns.values()].reduce((sum, { parameters }) => sum + parameters, 0)
    },
    sites: told,
    replacements: new Map([...standIns].map(([site, { replacement }]) => [site, replacement(tensorsAt(adapter, site))]))
  }
}

function tensorsAt (adapter: AdapterTensors, site: string): AuxiliaryTensors {
  return adapter.get(site) ?? new Map()
}

function momentOf (moments: ReadonlyMap<string, FloatTensor>, site: string): FloatTensor {
  return moments.get(site) ?? { shape: [0, 0], values: new Float32Array() }
}
