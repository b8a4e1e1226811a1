import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { TrainReport } from '../../src/node/trainer/train.js'
import type { Started } from '../cli/run-cli.js'
import { failureOf, reportOf, saidBy, Scene } from './scene.js'

const ROOT = join(import.meta.dirname, '..', '..')
const MODEL = join(ROOT, 'models', 'tiny')
const STEPS = 24

describe('colanet train, ended by Ctrl+C in the midst of its steps', function () {
  this.timeout(120_000)
  let scene: Scene
  let args: string[]
  let undisturbed: Promise<TrainReport>

  before(async () => {
    scene = await Scene.open()
    const data = join(scene.folder, 'texts')
    await mkdir(data)
    const licence = await readFile(join(ROOT, 'LICENSE'), 'utf8')
    await writeFile(join(data, 'licence.txt'), licence)
    await writeFile(join(data, 'begins.md'), `# Begins\n\n${licence.slice(0, 400)}`)
    await writeFile(join(data, 'pairs.jsonl'), ['one', 'two', 'three'].map(word => JSON.stringify({ prompt: `After ${word} comes`, completion: ` what follows ${word}.` })).join('\n'))
    args = ['--model', MODEL, '--data', data, '--batch-size', '2', '--length', '16', '--interval', '2', '--held-out-rows', '2',
      '--lr', '0.01', '--seed', '3', '--steps', String(STEPS)]
    scene.host('host', '--model', MODEL)
    undisturbed = reportOf(scene.local('undisturbed', ...args))
  })

  after(async () => { await scene.close() })

  it('goes on with the same command and ends as if nothing had been, with --local', async () => {
    const start = (): Started => scene.local('interrupted', ...args)
    await interrupted(start())
    await expectAsUndisturbed(await resumed(start()))
  })

  it('goes on with as many threads for its fits as it is given then, and ends as one that had one', async () => {
    const start = (threads: string): Started => scene.local('threads', ...args, '--fit-threads', threads)
    await interrupted(start('2'))
    await expectAsUndisturbed(await resumed(start('3')))
  })

  it('goes on with the same command and ends as if nothing had been, in the mesh; a third time it is done', async () => {
    const start = (): Started => scene.train('trainer', ...args)
    await interrupted(start())
    const report = await resumed(start())
    await expectAsUndisturbed(report)
    expect(report.bytes.adaptation.received).to.be.above(0)

    const third = start()
    const done = await reportOf(third)
    expect((await third.ended).stderr).to.match(/job default is done/)
    await expectAsUndisturbed(done)
    expect([done.peer, done.tokensPerSecond]).to.deep.equal([report.peer, report.tokensPerSecond])
    expect(done.bytes).to.not.have.property('adaptation') // no step was run again
    await access(join(done.adapter, 'adapter_model.safetensors'))
  })

  /** Ctrl+C once it has done a step, and not all. */
  async function interrupted (started: Started): Promise<void> {
    await saidBy(started, new RegExp(`training +\\d+/${STEPS}`))
    started.process.kill('SIGINT')
    const { code, name, stderr } = await failureOf(started)
    expect(stderr).to.match(/SIGINT: saving and leaving/)
    expect([code, name]).to.deep.equal([130, 'InterruptedError'])
  }

  /** Its report, once it has said that it went on in the middle. */
  async function resumed (started: Started): Promise<TrainReport> {
    const report = await reportOf(started)
    const [, after] = /resuming job default after step (\d+)/.exec((await started.ended).stderr) ?? []
    expect(Number(after)).to.be.within(1, STEPS - 1)
    return report
  }

  async function expectAsUndisturbed ({ losses, deltaHash, heldOut, steps, tokens }: TrainReport): Promise<void> {
    const expected = await undisturbed
    expect(losses).to.have.lengthOf(STEPS)
    expect({ losses, deltaHash, heldOut, steps, tokens }).to.deep.equal({
      losses: expected.losses, deltaHash: expected.deltaHash, heldOut: expected.heldOut, steps: STEPS, tokens: expected.tokens
    })
  }
})
