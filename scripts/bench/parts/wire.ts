import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { EMBEDDED_MODEL, PACKAGE_ROOT } from '../../../src/cli/package-root.js'
import { selectSites } from '../../../src/model/sites.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import { parseTrainOptions } from '../../../src/node/trainer/options.js'
import { trainLocally } from '../../../src/node/trainer/train.js'
import { type WireOption, wireFormOf } from '../../../src/node/trainer/wire-form.js'
import type { AuxiliarySpec, Batch, Site, WireForm } from '../../../src/types.js'
import { figure, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { definePart, MODEL_OPTION, type PartContext, THREADS_OPTION } from '../part.js'
import { LORA, randomAdapter } from '../random-adapter.js'
import { randomBatch } from '../random-batch.js'

const ROWS = 8
const LENGTH = 128

const INTERVALS = [1, 8] as const

/** After so many steps the loss of a rounded form is compared. */
const ROUNDED_STEPS = 200
/** Ten times the usual rate, so that they learn enough for a difference to show. */
const ROUNDED_RATE = 3e-3

const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }

/** What a host is asked for, and by whom. */
const WAYS: ReadonlyArray<readonly [spec: AuxiliarySpec, wire: WireOption]> = [
  [LORA, 'f32'], [LORA, 'bf16'], [LORA, 'f16'], [LORA, 'product'], [LORA, 'factors'], [LORA, 'int8'], [LORA, 'auto'], [LINEAR, 'f32'], [LINEAR, 'product'], [LINEAR, 'int8'], [LINEAR, 'auto']
]

interface Counted {
  readonly name: string
  /** That `auto` has come to, or what was asked for. */
  readonly form: WireForm
  /** Messages of a step, mean over the interval. */
  readonly bytes: Readonly<Record<typeof INTERVALS[number], number>>
}

/**
 * How many bytes the messages of a step have in each form: those that a host's own pass gives and encodes, of adapters at c_attn. Then
 * how far losses are from those with x and ∇ĥ in float32, over training runs of the embedded model: by `auto` at each step, and by
 * `int8` and `f16` in the end.
 */
export const wire = definePart({
  name: 'wire',
  describe: `bytes of a step of ${ROWS} x ${LENGTH} tokens by what a host sends, and losses by it`,
  options: {
    steps: { type: 'integer', min: 1, default: 40, describe: 'how long the runs train whose losses are compared' },
    model: MODEL_OPTION,
    threads: THREADS_OPTION
  },
  measure: async ({ steps, model: asked, threads }, context) => {
    const counted = await count(await modelFolder(asked, context.folder, context.log), threads, context)
    const [int8LossRatio, f16LossRatio] = await finalLossRatios(['int8', 'f16'], ROUNDED_STEPS, context)
    const lossErrorAuto = Math.max(...await Promise.all(['low-rank', 'linear'].map(async aux => await lossError(aux, steps, context))))
    const bytesOf = (spec: AuxiliarySpec, wire: WireOption): Counted['bytes'] => counted.find(({ name }) => name === nameOf(spec, wire))?.bytes ?? { 1: NaN, 8: NaN }
    const pairs = bytesOf(LORA, 'f32')
    const share = (spec: AuxiliarySpec, interval: typeof INTERVALS[number]) => figure([bytesOf(spec, 'auto')[interval] / pairs[interval]])
    return {
      head: ['', 'form', ...INTERVALS.map(interval => `MB a step, interval ${interval}`), 'of f32'],
      rows: counted.map(({ name, form, bytes }) => [name, form, ...INTERVALS.map(interval => (bytes[interval] / 1e6).toFixed(2)), readable(figure([100 * bytes[1] / pairs[1]]), ' %')]),
      figures: {
        shareInterval1: share(LORA, 1),
        shareInterval8: share(LORA, 8),
        linearShareInterval1: share(LINEAR, 1),
        int8Share: figure([bytesOf(LORA, 'int8')[1] / pairs[1]]),
        lossErrorAuto: figure([lossErrorAuto]),
        int8LossRatio: figure([int8LossRatio]),
        f16Share: figure([bytesOf(LORA, 'f16')[1] / pairs[1]]),
        f16LossRatio: figure([f16LossRatio])
      }
    }
  }
})

function nameOf ({ kind }: AuxiliarySpec, wire: WireOption): string {
  return `${kind}, ${wire}`
}

async function count (folder: string, threads: number, { log, signal }: PartContext): Promise<Counted[]> {
  const model = await LocalModel.open(folder, { threads }, log)
  try {
    const sites = selectSites(model.info, ['c_attn'])
    const batch = randomBatch(ROWS, LENGTH, model.info.vocabSize)
    const counted: Counted[] = []
    for (const [spec, option] of WAYS) {
      const form = wireFormOf(option, spec, sites, batch)
      const ofStep = async (steps: number): Promise<number> => await bytesOfSteps(model, spec, form, sites, batch, steps, signal) / steps
      const one = await ofStep(1)
      const bytes = { 1: one, 8: option === 'auto' ? await ofStep(8) : one } // what was asked for is the same each step
      log(`${nameOf(spec, option)}: ${(bytes[1] / 1e6).toFixed(2)} MB`)
      counted.push({ name: nameOf(spec, option), form, bytes })
    }
    return counted
  } finally {
    await model.dispose()
  }
}

async function bytesOfSteps (model: LocalModel, spec: AuxiliarySpec, form: WireForm, sites: readonly Site[], batch: Batch, steps: number, signal: AbortSignal): Promise<number> {
  let bytes = 0
  for (let step = 0; step < steps; step++) {
    signal.throwIfAborted()
    bytes += await bytesOfStep(model, spec, form, sites, batch)
  }
  return bytes
}

async function bytesOfStep (model: LocalModel, spec: AuxiliarySpec, form: WireForm, sites: readonly Site[], batch: Batch): Promise<number> {
  const adapter = randomAdapter(sites, 1, spec)
  const [{ parts }] = await model.pass({
    parts: [{ batch, beside: [{ spec, tensors: adapter }], wire: form, encoded: true, fitted: { spec, adapter } }],
    sites: sites.map(({ name }) => name),
    merged: null
  })
  let bytes = 0
  for await (const part of parts) bytes += part.bytes.byteLength
  return bytes
}

/** The largest difference of a loss by `auto` from that by float32 pairs. */
async function lossError (aux: string, steps: number, context: PartContext): Promise<number> {
  const [auto, pairs] = [await lossesOf(aux, 'auto', steps, context), await lossesOf(aux, 'f32', steps, context)]
  return Math.max(...auto.map((loss, step) => Math.abs(loss - pairs[step])))
}

/** The last loss by each rounded form over that by float32 pairs. */
async function finalLossRatios (wires: readonly WireForm[], steps: number, context: PartContext): Promise<number[]> {
  const last = async (wire: WireForm): Promise<number> => (await lossesOf('low-rank', wire, steps, context, ROUNDED_RATE))[steps - 1]
  const pairs = await last('f32')
  const ratios: number[] = []
  for (const wire of wires) ratios.push(await last(wire) / pairs)
  return ratios
}

async function lossesOf (aux: string, wire: WireOption, steps: number, { folder, signal, log }: PartContext, lr?: number): Promise<readonly number[]> {
  const own = join(folder, `${aux}-${wire}-${steps}`)
  await mkdir(own, { recursive: true })
  const options = parseTrainOptions({ model: EMBEDDED_MODEL, data: [join(PACKAGE_ROOT, 'README.md')], batchSize: 4, length: 64, heldOut: 0, aux, wire, steps, seed: 1, ...(lr !== undefined && { lr }) })
  const report = await trainLocally(options, { folder: own, reporter: { progress: () => {}, log: () => {} }, signal })
  log(`${aux}, ${report.wire}: loss ${report.losses[0].toFixed(4)} to ${report.losses[steps - 1].toFixed(4)}`)
  return report.losses
}
