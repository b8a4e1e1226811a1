import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { EMBEDDED_MODEL } from '../../../src/cli/package-root.js'
import { readableBytes } from '../../../src/cli/table.js'
import { InvalidOptionError } from '../../../src/errors.js'
import { describeModel } from '../../../src/model/base-model.js'
import { isMergeableKind } from '../../../src/auxiliary-spec.js'
import { hasFactors } from '../../../src/gl/factor-gradients.js'
import { parseTrainOptions, type TrainOptions } from '../../../src/node/trainer/options.js'
import { AUXILIARY_KINDS, type AuxiliaryKind } from '../../../src/types.js'
import { figure, type Figure, readable, ratio } from '../../bench/figure.js'
import { modelFolder } from '../../bench/gpt2-small.js'
import { type Contestant, interleaved, valuesOf } from '../../bench/interleaved.js'
import { LineChild } from '../../bench/line-child.js'
import { PeakMemory } from '../../bench/peak-memory.js'
import { randomBatch, writeBatch } from '../../bench/random-batch.js'
import type { CostHostInit, CostHostReady, CostHostStep, CostTrainerInit, CostTrainerStep } from '../cost-init.js'
import { definePart, type PartContext } from '../part.js'

const HOST = join(import.meta.dirname, '..', 'cost-host.ts')
const TRAINER = join(import.meta.dirname, '..', 'cost-trainer.ts')

/** Where the fit is: in the host's process, or in a trainer's, to which x and ∇ĥ come or what they do to factors. */
const PLACES = { host: null, 'trainer, f32': 'f32', 'trainer, factors': 'factors' } as const
type Place = keyof typeof PLACES

const MERGES = { unmerged: 'never', merged: 'during' } as const

/** The paper's. */
const BATCH_SIZES = ['1', '8', '32']

/** Of what is measured how often: with --quick the paper's kinds. */
const SIZES: Readonly<Record<'quick' | 'full', { readonly runs: number, readonly rounds: number, readonly length: number, readonly kinds: readonly AuxiliaryKind[] }>> = {
  quick: { runs: 1, rounds: 3, length: 32, kinds: ['low-rank', 'linear', 'mlp'] },
  full: { runs: 3, rounds: 6, length: 64, kinds: AUXILIARY_KINDS }
}

/** What one run of a row gave. */
interface Sample {
  /** In milliseconds. */
  readonly pass: number
  /** In milliseconds. */
  readonly fit: number
  /** Peak of anonymous memory, in MB of a million bytes. */
  readonly hostMemory: number
  /** The same; null where the fit is in the host's process. */
  readonly trainerMemory: number | null
  /** What crosses the wire in a step; null where nothing does. */
  readonly bytes: number | null
}

/** A row of the table. */
interface Way extends Contestant<Sample> {
  readonly kind: AuxiliaryKind
  readonly merge: keyof typeof MERGES
  readonly place: Place
  readonly batchSize: number
}

/** The paper's tables of computation: what a step costs, and whom. */
export const cost = definePart({
  name: 'cost',
  describe: 'run time and memory of the base pass and of the fit, by batch size, kind of auxiliary, merged or not, and place of the fit',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder of a causal model (default: GPT-2 small with random weights; with --quick the small one that comes with colanet)' },
    batchSizes: { type: 'list', default: BATCH_SIZES, describe: 'rows in a batch' },
    length: { type: 'integer', min: 2, describe: 'tokens in a row (default: 64, with --quick 32)' },
    runs: { type: 'integer', min: 1, describe: 'how often everything is measured, in turns, in processes of its own (default: 3, with --quick 1)' }
  },
  run: async ({ quick, model: asked, batchSizes, length, runs, threads }, context) => {
    const size = SIZES[quick ? 'quick' : 'full']
    const folder = await modelFolder(asked ?? (quick ? EMBEDDED_MODEL : undefined), context.folder, context.log)
    const { name, vocabSize } = await describeModel(folder)
    const tokens = length ?? size.length
    const ways: Way[] = []
    for (const text of batchSizes) {
      const batchSize = rowsFrom(text)
      const batch = join(context.folder, `batch-${batchSize}.safetensors`)
      await writeBatch(batch, randomBatch(batchSize, tokens, vocabSize))
      ways.push(...waysOf(folder, batch, batchSize, { ...context, ...size, threads }))
    }
    const measured = await interleaved(ways, {
      ...context, runs: runs ?? size.runs, warmUps: 0, leadIn: false, show: ({ pass, fit, hostMemory }) => `pass ${pass.toFixed(0)} ms, fit ${fit.toFixed(0)} ms, ${hostMemory.toFixed(0)} MB`
    })
    return {
      title: `Cost of a step: ${name}, rows of ${tokens} tokens`,
      head: ['batch size, auxiliary, fit', 'pass ms', 'of unmerged', 'fit ms', 'host MB', 'trainer MB', 'sent'],
      rows: ways.map(way => lineOf(way, measured)),
      notes: [
        'Medians of steps after the first, which compiles; with several runs ± the interquartile range as a part of the median. Sites: the usual ones of the model; rank 8.',
        'The pass is forward and backward with what Gradient Learning needs at each site; merged, θ + αΔW is made anew for each, as after each fit. With a trainer it holds encoding what is sent, and the fit decoding it; in the host\'s own process the fit is from x and ∇ĥ as they are.',
        'Memory is the peak of what a process has of its own: weights, which are mapped from files, are not in it.'
      ],
      claims: [],
      charts: new Map(),
      data: { model: name, length: tokens, rows: ways.map(way => dataOf(way, measured)) }
    }
  }
})

interface WaysContext extends PartContext {
  readonly rounds: number
  readonly kinds: readonly AuxiliaryKind[]
  readonly threads: number | undefined
}

function waysOf (model: string, batch: string, batchSize: number, context: WaysContext): Way[] {
  return context.kinds.flatMap(kind => Object.entries(MERGES).filter(([, merge]) => merge === 'never' || isMergeableKind(kind)).flatMap(([name, merge]) =>
    (Object.keys(PLACES) as Place[]).filter(place => PLACES[place] !== 'factors' || hasFactors({ kind, rank: 8, alpha: 8 })).map((place): Way => {
      const options = parseTrainOptions({ model, batch, aux: kind, mode: 'alone', merge, wire: PLACES[place] ?? 'f32' })
      return {
        name: `${batchSize}, ${kind} ${name}, ${place}`,
        kind,
        merge: name as keyof typeof MERGES,
        place,
        batchSize,
        run: async () => await measure(options, place, context)
      }
    })))
}

/** One run, in processes of its own. */
async function measure (options: TrainOptions, place: Place, { folder, rounds, threads, signal }: WaysContext): Promise<Sample> {
  const own = place === 'host' ? null : await mkdtemp(join(folder, 'wire-'))
  const init: CostHostInit = { options, folder: own, threads }
  const host = await LineChild.fromSources(HOST, [JSON.stringify(init)], signal)
  const ready = host.greeting as CostHostReady
  const trainer = own === null ? undefined : await LineChild.fromSources(TRAINER, [JSON.stringify({ options, ...ready } satisfies CostTrainerInit)], signal)
  const memories = [host, ...(trainer === undefined ? [] : [trainer])].map(({ pid }) => new PeakMemory(pid))
  const steps: Array<Pick<Sample, 'pass' | 'fit' | 'bytes'>> = []
  try {
    for (let round = 0; round <= rounds; round++) {
      const { pass, fit, parts } = await host.ask('step') as CostHostStep
      const fitted = trainer === undefined ? { fit: fit ?? NaN } : await trainer.ask(JSON.stringify(parts)) as CostTrainerStep
      if (round > 0) steps.push({ pass, fit: fitted.fit, bytes: trainer === undefined ? null : parts.reduce((sum, { bytes }) => sum + bytes, 0) })
    }
  } finally {
    await Promise.all([host.stop(), trainer?.stop()])
  }
  const [hostMemory, trainerMemory = null] = await Promise.all(memories.map(async memory => await memory.stop()))
  const median = (key: 'pass' | 'fit'): number => figure(steps.map(step => step[key])).median
  return { pass: median('pass'), fit: median('fit'), hostMemory, trainerMemory, bytes: steps[0].bytes }
}

type Samples = ReadonlyMap<string, readonly Sample[]>

function figuresOf (way: Way, measured: Samples): Record<'pass' | 'fit' | 'hostMemory' | 'trainerMemory' | 'ofUnmerged', Figure | null> {
  const samples = valuesOf(measured, way.name)
  const of = (key: 'pass' | 'fit' | 'hostMemory' | 'trainerMemory', from = samples): number[] => from.map(sample => sample[key] ?? NaN)
  const figures = (key: Parameters<typeof of>[0]): Figure | null => samples[0][key] === null ? null : figure(of(key))
  const unmerged = valuesOf(measured, way.name.replace(` ${way.merge},`, ' unmerged,'))
  return {
    pass: figures('pass'),
    fit: figures('fit'),
    hostMemory: figures('hostMemory'),
    trainerMemory: figures('trainerMemory'),
    ofUnmerged: way.merge === 'unmerged' ? null : ratio(of('pass'), of('pass', unmerged))
  }
}

function lineOf (way: Way, measured: Samples): string[] {
  const { pass, ofUnmerged, fit, hostMemory, trainerMemory } = figuresOf(way, measured)
  const [{ bytes }] = valuesOf(measured, way.name)
  return [way.name, readable(pass), readable(ofUnmerged), readable(fit), readable(hostMemory), readable(trainerMemory), bytes === null ? '–' : readableBytes(bytes)]
}

function dataOf (way: Way, measured: Samples): object {
  const { name, kind, merge, place, batchSize } = way
  return { name, kind, merge, place, batchSize, ...figuresOf(way, measured), bytes: valuesOf(measured, name)[0].bytes }
}

/** @throws {InvalidOptionError} */
function rowsFrom (text: string): number {
  const rows = Number(text)
  if (!Number.isSafeInteger(rows) || rows < 1) throw new InvalidOptionError(`--batch-sizes ${text} is not possible; use whole numbers from 1`)
  return rows
}
