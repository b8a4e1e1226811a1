import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gatherTexts } from '../../../src/cli/simulate/texts.js'
import { PACKAGE_ROOT } from '../../../src/cli/package-root.js'
import type { TrainReport } from '../../../src/node/trainer/train.js'
import { WIRE_OPTIONS } from '../../../src/node/trainer/wire-form.js'
import { unlessAborted } from '../../../src/protocols/deadline.js'
import { BUILT } from '../../../test/cli/run-cli.js'
import { reportOf, saidBy, Scene } from '../../../test/integration/scene.js'
import { figure, ratio, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { interleaved, valuesOf } from '../interleaved.js'
import { definePart, MODEL_OPTION, runsOption, THREADS_OPTION } from '../part.js'

const ROWS = 4
const LENGTH = 128
const MESH = 'mesh'
const LOCAL = 'local'

/** What the wire costs: host and trainer as two processes on loopback, against `--local`; from the commands' own reports. */
export const mesh = definePart({
  name: 'mesh',
  describe: `tokens a second of host and trainer on loopback against train --local, ${ROWS} x ${LENGTH} tokens a step`,
  options: {
    runs: runsOption(3),
    steps: { type: 'integer', min: 1, default: 8, describe: 'steps in a run' },
    wire: { type: 'choice', choices: WIRE_OPTIONS, default: 'auto', describe: 'what the host sends, see colanet train --help' },
    model: MODEL_OPTION,
    threads: THREADS_OPTION
  },
  measure: async ({ runs, steps, wire, model: asked, threads }, { folder, signal, log }) => {
    const model = await modelFolder(asked, folder, log)
    const data = join(folder, 'text.txt')
    const [{ text }] = await gatherTexts(join(PACKAGE_ROOT, 'node_modules'), 1, signal)
    await writeFile(data, text)
    const options = ['--model', model, '--data', data, '--steps', String(steps), '--batch-size', String(ROWS), '--length', String(LENGTH), '--held-out', '0', '--wire', wire]
    const overMesh = async (): Promise<TrainReport> => await inScene(signal, async scene => {
      await saidBy(scene.host('host', '--model', model, '--threads', String(threads)), /Ctrl\+C stops it/)
      return await reportOf(scene.train('trainer', ...options))
    })
    const locally = async (): Promise<TrainReport> => await inScene(signal, async scene =>
      await reportOf(scene.local('local', ...options, '--threads', String(threads))))
    const measured = await interleaved<TrainReport>([{ name: MESH, run: overMesh }, { name: LOCAL, run: locally }], {
      runs, signal, log, warmUps: 0, leadIn: false, show: ({ tokensPerSecond }) => `${tokensPerSecond.toFixed(0)} tokens/s`
    })
    const speeds = (name: string): number[] => valuesOf(measured, name).map(({ tokensPerSecond }) => tokensPerSecond)
    const figures = { ratioToLocal: ratio(speeds(MESH), speeds(LOCAL)), meshTokensPerSecond: figure(speeds(MESH)), localTokensPerSecond: figure(speeds(LOCAL)) }
    return {
      head: ['', 'tokens/s', 'times local'],
      rows: [[MESH, readable(figures.meshTokensPerSecond), readable(figures.ratioToLocal)], [LOCAL, readable(figures.localTokensPerSecond), '']],
      figures
    }
  }
})

/** Processes of one run, gone afterwards. Each run has its own, so that both compile within it: there is no warm-up. */
async function inScene<T> (signal: AbortSignal, use: (scene: Scene) => Promise<T>): Promise<T> {
  const scene = await Scene.open(BUILT)
  try {
    return await unlessAborted(use(scene), signal)
  } finally {
    await scene.close()
  }
}
