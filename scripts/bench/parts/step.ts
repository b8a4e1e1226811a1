import { join } from 'node:path'
import { BACKENDS } from '../../../src/engine/backend.js'
import { InvalidOptionError } from '../../../src/errors.js'
import { describeModel } from '../../../src/model/base-model.js'
import { ModelThread } from '../../../src/node/host/model-thread.js'
import type { Batch } from '../../../src/types.js'
import { OpenHost } from '../c-attn-job.js'
import { type Figure, figure, ratio, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { type Contestant, interleaved, timed, valuesOf } from '../interleaved.js'
import type { LineChild } from '../line-child.js'
import { definePart, type Measured, MODEL_OPTION, type PartContext, runsOption, THREADS_OPTION } from '../part.js'
import { type Attention, peftStep, startPeft } from '../peft.js'
import { randomBatch, writeBatch } from '../random-batch.js'

const ROWS = 4
const LENGTH = 128

/** With 4 rows TensorFlow.js needs more than the 2 GB that WebAssembly has, as it keeps every activation: "memory access out of bounds". */
const EAGER_ROWS = 1

/** Their names in the table. */
const COMPILED = 'compiled'
const COMPILED_ROW = 'compiled, 1 row'
const EAGER = 'eager'
const PEFT = 'peft'

/** Losses of the same weights and tokens differ by rounding only. */
const TOLERANCE = 1e-3

interface Rival extends Contestant<number> {
  readonly rows: number
  readonly stop: () => Promise<void>
  /** Of its latest run. */
  readonly loss: () => number
}

/**
 * One forward and backward pass at c_attn: compiled, op by op on TensorFlow.js, and PyTorch with PEFT. Gradients of
 * adapters are part of PEFT's backward pass; ours are the trainer's work, and not in it. Ratios are taken run by run, the
 * best of the others against ours. Op by op it is one row only, on both sides.
 */
export const step = definePart({
  name: 'step',
  describe: `a forward and backward pass, ${ROWS} x ${LENGTH} tokens, against PyTorch + PEFT and against TensorFlow.js op by op`,
  options: {
    runs: runsOption(5),
    model: MODEL_OPTION,
    threads: THREADS_OPTION,
    eager: { type: 'list', default: ['node', 'wasm'], describe: `TensorFlow.js backends to compare with, of ${BACKENDS.join(', ')}; cpu takes many minutes a step` }
  },
  measure: async ({ runs, model, threads, eager }, context) => {
    const folder = await modelFolder(model, context.folder, context.log)
    const rivals: Rival[] = []
    try {
      const { vocabSize } = await describeModel(folder)
      const batch = randomBatch(ROWS, LENGTH, vocabSize)
      const row = randomBatch(EAGER_ROWS, LENGTH, vocabSize)
      const ours = await ModelThread.open({ folder, log: context.log, threads })
      rivals.push(await startOurs(COMPILED, ours, batch, context))
      rivals.push(...await startPefts(folder, batch, threads, context))
      const eagers: Rival[] = []
      for (const name of eager) eagers.push(...await startEager(name, folder, row, context))
      if (eagers.length > 0) rivals.push(await startOurs(COMPILED_ROW, ours, row, context), ...eagers)
      const measured = await interleaved(rivals, { ...context, runs, show: value => `${value.toFixed(0)} ms` })
      checkLosses(rivals)
      return result(measured, rivals)
    } finally {
      await Promise.all(rivals.map(async ({ stop }) => await stop()))
    }
  }
})

function result (measured: ReadonlyMap<string, readonly number[]>, rivals: readonly Rival[]): Measured {
  const ratioOf = ({ name, rows }: Rival): Figure => ratio(valuesOf(measured, name), valuesOf(measured, rows === ROWS ? COMPILED : COMPILED_ROW))
  const ratioToBest = (prefix: string): Figure | null => {
    const ranked = rivals.filter(({ name }) => name.startsWith(prefix)).map(ratioOf).sort((a, b) => a.median - b.median)
    return ranked.at(0) ?? null
  }
  return {
    head: ['', 'ms a step', 'times ours'],
    rows: rivals.map(rival => [rival.name, readable(figure(valuesOf(measured, rival.name))), readable(ratioOf(rival))]),
    figures: {
      ratioToPeft: ratioToBest(PEFT),
      ratioToEager: ratioToBest(EAGER),
      ...Object.fromEntries(rivals.map(({ name }) => [`${camel(name)}Ms`, figure(valuesOf(measured, name))]))
    }
  }
}

async function startOurs (name: string, model: ModelThread, batch: Batch, { signal, log }: PartContext): Promise<Rival> {
  log(`${name}: ${model.engine.description}`)
  const host = await OpenHost.open(model, 'alone')
  let loss = NaN
  return {
    name,
    rows: batch.rows,
    run: async () => await timed(async () => { loss = (await host.step(batch, signal)).reply.loss }),
    loss: () => loss,
    stop: async () => await model.dispose()
  }
}

/** None where the backend cannot be started here, or cannot do it. */
async function startEager (name: string, folder: string, batch: Batch, context: PartContext): Promise<Rival[]> {
  const backend = BACKENDS.find(known => known === name)
  if (backend === undefined) throw new InvalidOptionError(`--eager ${name} is not known; use some of ${BACKENDS.join(', ')}`)
  try {
    const model = await ModelThread.open({ folder, log: context.log, backend })
    const rival = await startOurs(`${EAGER} ${backend}`, model, batch, context)
    await rival.run()
    return [rival]
  } catch (error) {
    context.signal.throwIfAborted()
    context.log(`${EAGER} ${backend} is left out: ${(error as Error).message}`)
    return []
  }
}

async function startPefts (model: string, batch: Batch, threads: number, context: PartContext): Promise<Rival[]> {
  const path = join(context.folder, 'batch.safetensors')
  await writeBatch(path, batch)
  const rivals: Rival[] = []
  for (const attention of ['sdpa', 'eager'] satisfies Attention[]) {
    const child = await startPeft({ ...context, model, batch: path, attention, threads })
    if (child === undefined) break // why it is not there has been said
    rivals.push(peftRival(`${PEFT} ${attention}`, child))
  }
  return rivals
}

function peftRival (name: string, child: LineChild): Rival {
  let loss = NaN
  return {
    name,
    rows: ROWS,
    run: async () => {
      const done = await peftStep(child)
      loss = done.loss
      return done.milliseconds
    },
    loss: () => loss,
    stop: async () => await child.stop()
  }
}

/** That all did the same work. */
function checkLosses (rivals: readonly Rival[]): void {
  for (const { name, rows, loss } of rivals) {
    const ours = rivals.find(rival => rival.rows === rows)
    if (ours !== undefined && !(Math.abs(loss() - ours.loss()) <= TOLERANCE)) {
      throw new Error(`${name} has a loss of ${loss()}, ${ours.name} of ${ours.loss()}: they do not compute the same`)
    }
  }
}

function camel (name: string): string {
  return name.replace(/[ ,-]+(\w)/g, (_, letter: string) => letter.toUpperCase())
}
