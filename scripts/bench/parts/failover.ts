import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { pEvent } from 'p-event'
import { WrongResultError } from '../../../src/cli/simulate/check.js'
import { gatherTexts } from '../../../src/cli/simulate/texts.js'
import { EMBEDDED_MODEL, PACKAGE_ROOT } from '../../../src/cli/package-root.js'
import type { TrainReport } from '../../../src/node/trainer/train.js'
import { BUILT, type Started } from '../../../test/cli/run-cli.js'
import { reportOf, saidBy, Scene } from '../../../test/integration/scene.js'
import { figure, quantile, readable } from '../figure.js'
import { definePart, type PartContext } from '../part.js'
import type { SteppingTrainerInit, SteppingTrainerLine } from '../stepping-trainer.js'
import { uniform } from '../uniform.js'

const TRAINER = join(import.meta.dirname, '..', 'stepping-trainer.ts')

/** The longest that a host is let work before it is killed, in milliseconds. */
const LONGEST = 1_000

/** What is trained, as options of `colanet train`. */
const TRAINED = { model: EMBEDDED_MODEL, batchSize: 4, length: 64, heldOutRows: 2, lr: 0.003, seed: 1 }

/**
 * A trainer at one of two hosts of the same model, each in a process of its own. The host that it is at is killed (SIGKILL) at a
 * random moment, again and again, and each time another one is started in its place. What is told is the time from the kill to the
 * first step that is done at another host. In the end the losses and ΔW have to be those of a run with nobody killed, to the bit.
 */
export const failover = definePart({
  name: 'failover',
  describe: 'time to the next step after a trainer\'s host is killed; and that nothing is lost',
  options: {
    kills: { type: 'integer', min: 1, default: 20, describe: 'how many hosts are killed' },
    steps: { type: 'integer', min: 1, default: 1_500, describe: 'of the trainer, in all; it must not end before the last host is killed' },
    seed: { type: 'integer', min: 0, default: 1, describe: 'decides the moments' }
  },
  measure: async ({ kills, steps, seed }, context) => {
    const data = join(context.folder, 'text.txt')
    const [{ text }] = await gatherTexts(join(PACKAGE_ROOT, 'node_modules'), 1, context.signal)
    await writeFile(data, text)
    const scene = await Scene.open(BUILT)
    try {
      const { recoveries, report } = await disturbed(scene, { kills, seed, options: { ...TRAINED, steps, data: [data] } }, context)
      context.log('the same with nobody killed')
      const { model, batchSize, length, heldOutRows, lr, seed: start } = TRAINED
      const undisturbed = await reportOf(scene.local('undisturbed', '--model', model, '--data', data, '--batch-size', String(batchSize), '--length', String(length),
        '--held-out-rows', String(heldOutRows), '--lr', String(lr), '--seed', String(start), '--steps', String(steps)))
      check(report, undisturbed)
      const [median, worst] = [0.5, 1].map(q => quantile(recoveries.toSorted((a, b) => a - b), q))
      return {
        head: ['hosts killed', 'ms to the next step', 'worst', 'steps', 'lost'],
        rows: [[String(kills), readable(figure(recoveries)), worst.toFixed(0), String(report.losses.length), String(steps - report.losses.length)]],
        figures: { recoveryMs: { median, spread: figure(recoveries).spread }, worstRecoveryMs: figure([worst]), lostSteps: figure([steps - report.losses.length]) }
      }
    } finally {
      await scene.close()
    }
  }
})

interface DisturbedInit {
  readonly kills: number
  readonly seed: number
  readonly options: SteppingTrainerInit['options']
}

/** The milliseconds from each kill to the next step, and the trainer's report. */
async function disturbed (scene: Scene, { kills, seed, options }: DisturbedInit, { signal, log }: PartContext): Promise<{ recoveries: number[], report: TrainReport }> {
  const random = uniform(seed)
  const hosts = new Map<string, Started>()
  let started = 0
  const startHost = async (): Promise<void> => {
    const host = scene.host(`host-${started++}`, '--model', EMBEDDED_MODEL, '--threads', '1')
    hosts.set(await peerOf(host), host)
  }
  await Promise.all([startHost(), startHost()])
  const init: SteppingTrainerInit = { folder: join(scene.folder, 'trainer'), discovery: join(scene.folder, 'local'), options }
  const trainer = spawn(process.execPath, ['--import', 'tsx', TRAINER, JSON.stringify(init)], { stdio: ['ignore', 'pipe', 'ignore'], signal })
  trainer.on('error', () => {}) // it is told by the signal
  const lines = createInterface({ input: trainer.stdout })
  let line: SteppingTrainerLine | undefined
  let host = ''
  lines.on('line', text => {
    line = JSON.parse(text) as SteppingTrainerLine
    if ('host' in line) host = line.host
  })
  const until = async (wanted: () => boolean): Promise<void> => {
    await pEvent(lines, 'line', { filter: () => line !== undefined && ('done' in line || wanted()), rejectionEvents: ['close'], signal })
  }
  const stepElsewhere = async (than: string): Promise<void> => {
    await until(() => line !== undefined && 'step' in line && host !== than)
    if (line !== undefined && 'done' in line) throw new WrongResultError('the trainer was done before the last host was killed; give it more --steps')
  }
  try {
    const recoveries: number[] = []
    await stepElsewhere('')
    for (let kill = 1; kill <= kills; kill++) {
      await delay(LONGEST * (random() + 1) / 2, undefined, { signal })
      const victim = host
      const next = stepElsewhere(victim)
      const killed = performance.now()
      hosts.get(victim)?.process.kill('SIGKILL')
      await next
      recoveries.push(performance.now() - killed)
      log(`host ${kill} of ${kills} killed: next step after ${recoveries.at(-1)?.toFixed(0)} ms`)
      await startHost()
    }
    await until(() => false)
    return { recoveries, report: (line as unknown as { done: TrainReport }).done }
  } finally {
    trainer.kill('SIGKILL')
  }
}

/** The peer id of a host, once it lends. */
async function peerOf (host: Started): Promise<string> {
  let said = ''
  host.process.stderr.on('data', (chunk: Buffer) => { said += chunk.toString() })
  await saidBy(host, /Ctrl\+C stops it/)
  return /peer (\w+) listens on/.exec(said)?.[1] ?? ''
}

/** @throws {WrongResultError} if the two are not the same to the bit */
function check (report: TrainReport, undisturbed: TrainReport): void {
  const different = report.losses.findIndex((loss, step) => loss !== undisturbed.losses[step])
  if (report.losses.length !== undisturbed.losses.length) throw new WrongResultError(`${report.losses.length} steps were done, ${undisturbed.losses.length} are wanted`)
  if (different >= 0) throw new WrongResultError(`the loss of step ${different + 1} is ${report.losses[different]}, undisturbed ${undisturbed.losses[different]}`)
  if (report.deltaHash !== undisturbed.deltaHash) throw new WrongResultError(`ΔW is ${report.deltaHash}, undisturbed ${undisturbed.deltaHash}`)
}
