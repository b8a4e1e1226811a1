import { cp, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { TrainReport } from '../../src/node/trainer/train.js'
import { failureOf, reportOf, saidBy, Scene } from './scene.js'

const ROOT = join(import.meta.dirname, '..', '..')
const STEPS = 40
const ARGS = ['--model', join(ROOT, 'models', 'tiny'), '--data', join(ROOT, 'README.md'), '--length', '8', '--batch-size', '2', '--held-out-rows', '2',
  '--optimizer', 'sgd', '--lr', '0.05', '--steps', String(STEPS), '--dp-clip', '0.5']

describe('colanet train --dp-clip', function () {
  this.timeout(300_000)
  let scene: Scene

  before(async () => {
    scene = await Scene.open()
  })
  after(async () => { await scene.close() })

  it('tells the ε of what it has published, and trains', async () => {
    const report = await reportOf(scene.local('plain', ...ARGS, '--dp-epsilon', '4', '--dp-delta', '1e-4'))
    const { epsilon, delta, clip, steps, sampleRate, noiseMultiplier } = report.privacy!
    expect(epsilon).to.be.within(3.9, 4)
    expect([delta, clip, steps, report.steps, report.wire]).to.deep.equal([1e-4, 0.5, STEPS, STEPS, 'f32'])
    expect(sampleRate).to.be.within(0.001, 0.2)
    expect(noiseMultiplier).to.be.above(0.1)
    expect(report.losses).to.have.lengthOf.within(STEPS / 2, STEPS) // of steps for which a row was drawn
    for (const { tokens } of report.members) expect(tokens).to.equal(STEPS * 2 * 8) // whatever was drawn
    expect(report.heldOut.adapted).to.be.a('number')
  })

  it('goes on after Ctrl+C as if nothing had been, with the same drawings and the same noise', async () => {
    const args = [...ARGS, '--dp-noise', '0.8', '--interval', '2']
    await interrupted('first', args)
    const checkpoints = join(scene.folder, 'first', 'checkpoints')
    for (const file of await readdir(checkpoints)) expect((await stat(join(checkpoints, file))).mode & 0o077, 'nobody else may read it').to.equal(0)
    await cp(join(scene.folder, 'first'), join(scene.folder, 'second'), { recursive: true })
    const straight = await reportOf(scene.local('first', ...args))
    await interrupted('second', args)
    const again = await reportOf(scene.local('second', ...args))
    const numbers = ({ losses, deltaHash, heldOut, steps, privacy }: TrainReport): object => ({ losses, deltaHash, heldOut, steps, privacy })
    expect(numbers(again)).to.deep.equal(numbers(straight))
    expect(straight.privacy!.steps).to.equal(STEPS / 2)
  })

  it('is done in the mesh, at a host that sends x and ∇ĥ', async () => {
    scene.host('host', '--model', join(ROOT, 'models', 'tiny'))
    const report = await reportOf(scene.train('trainer', ...ARGS, '--dp-noise', '1', '--mode', 'collaboration'))
    expect([report.wire, report.privacy!.steps]).to.deep.equal(['f32', STEPS])
  })

  it('says what to do where a host does not take a batch that was drawn', async () => {
    const other = await Scene.open() // where there is no other host
    try {
      other.host('small', '--model', join(ROOT, 'models', 'tiny'), '--max-rows', '1')
      const { code, name, stdout, stderr } = await failureOf(other.train('large', ...ARGS, '--dp-noise', '1', '--held-out', '0'))
      expect([code, name]).to.deep.equal([2, 'InvalidBatchError'])
      expect(stdout + stderr).to.match(/--batch-size/)
    } finally {
      await other.close()
    }
  })

  /** Ctrl+C once it has done a step more, and not all. */
  async function interrupted (folder: string, args: readonly string[]): Promise<void> {
    const started = scene.local(folder, ...args)
    await saidBy(started, new RegExp(`training +\\d+/${STEPS}`))
    started.process.kill('SIGINT')
    expect((await failureOf(started)).name).to.equal('InterruptedError')
  }
})
