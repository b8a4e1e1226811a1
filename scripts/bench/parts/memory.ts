import { join } from 'node:path'
import { describeModel } from '../../../src/model/base-model.js'
import { unlessAborted } from '../../../src/protocols/deadline.js'
import { reportOf, saidBy, Scene } from '../../../test/integration/scene.js'
import { BUILT, type Started } from '../../../test/cli/run-cli.js'
import { type Figure, figure, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { type Contestant, interleaved, valuesOf } from '../interleaved.js'
import { definePart, MODEL_OPTION, type PartContext, runsOption, THREADS_OPTION } from '../part.js'
import { PeakMemory } from '../peak-memory.js'
import { peftStep, startPeft } from '../peft.js'
import { randomBatch, writeBatch } from '../random-batch.js'

const ROWS = 4
const LENGTH = 128
const OURS = 'mesh'
const PEFT = 'peft'

interface Scenario {
  readonly model: string
  readonly batch: string
  readonly steps: number
  readonly threads: number
}

/**
 * Peaks of anonymous memory, in MB of a million bytes, of the real processes, from their start to their end: a host, and a
 * trainer that has steps done there over loopback; against a PyTorch process that does both. There is no warm-up, as each
 * run has processes of its own. Weights that a host maps from their file are not anonymous: the system drops and reads
 * them as it likes.
 */
export const memory = definePart({
  name: 'memory',
  describe: `peak anonymous memory of a host, of its trainer, and of PyTorch + PEFT, for steps of ${ROWS} x ${LENGTH} tokens`,
  options: {
    runs: runsOption(3),
    steps: { type: 'integer', min: 1, default: 8, describe: 'steps in a run' },
    model: MODEL_OPTION,
    threads: THREADS_OPTION
  },
  measure: async ({ runs, steps, model: asked, threads }, context) => {
    const { folder, log } = context
    const model = await modelFolder(asked, folder, log)
    const batch = join(folder, 'batch.safetensors')
    await writeBatch(batch, randomBatch(ROWS, LENGTH, (await describeModel(model)).vocabSize))
    const scenario = { model, batch, steps, threads }
    const contestants: Array<Contestant<readonly number[]>> = [{ name: OURS, run: async () => await runOurs(scenario, context) }]
    const firstPeft = await runPeft(scenario, context)
    if (firstPeft !== undefined) contestants.push({ name: PEFT, run: async () => await runPeft(scenario, context) ?? [] })
    const measured = await interleaved(contestants, { ...context, runs, warmUps: 0, leadIn: false, show: peaks => `${peaks.map(peak => peak.toFixed(0)).join(' and ')} MB` })
    const peaks = (name: string, place: number): Figure => figure(valuesOf(measured, name).map(peaks => peaks[place]))
    const figures = { hostPeakMb: peaks(OURS, 0), trainerPeakMb: peaks(OURS, 1), peftPeakMb: firstPeft === undefined ? null : peaks(PEFT, 0) }
    return {
      head: ['', 'MB'],
      rows: [['host', readable(figures.hostPeakMb)], ['trainer', readable(figures.trainerPeakMb)], ['PyTorch + PEFT', readable(figures.peftPeakMb)]],
      figures
    }
  }
})

async function runOurs ({ model, batch, steps, threads }: Scenario, { signal }: PartContext): Promise<[host: number, trainer: number]> {
  const scene = await Scene.open(BUILT)
  try {
    const host = scene.host('host', '--model', model, '--threads', String(threads))
    const hostMemory = memoryOf(host)
    await unlessAborted(saidBy(host, /Ctrl\+C stops it/), signal)
    const trainer = scene.train('trainer', '--model', model, '--batch', batch, '--steps', String(steps))
    const trainerMemory = memoryOf(trainer)
    await unlessAborted(reportOf(trainer), signal)
    return [await hostMemory.stop(), await trainerMemory.stop()]
  } finally {
    await scene.close()
  }
}

function memoryOf ({ process: { pid = 0 } }: Started): PeakMemory {
  return new PeakMemory(pid)
}

/** Undefined where there is no PEFT. */
async function runPeft ({ model, batch, steps, threads }: Scenario, { signal, log }: PartContext): Promise<[number] | undefined> {
  const child = await startPeft({ model, batch, threads, attention: 'sdpa', signal, log })
  if (child === undefined) return undefined
  const memory = new PeakMemory(child.pid)
  try {
    for (let i = 0; i < steps; i++) await peftStep(child)
    return [await memory.stop()]
  } finally {
    await child.stop()
  }
}
