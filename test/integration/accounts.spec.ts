import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import type { ColaNode } from '../../src/node/node.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, type TrainReport } from '../../src/node/trainer/train.js'
import type { Accounts, TrafficReport } from '../../src/protocols/traffic.js'
import { soon } from '../protocols/nodes.js'
import { FIXTURES } from '../support/fixtures.js'
import { hear, Nodes } from './liar.js'
import { reportOf, Scene } from './scene.js'

const MODEL = join(FIXTURES, 'gpt2-odd')

describe('bytes of two jobs at one host', function () {
  this.timeout(60_000)
  const nodes = new Nodes(MODEL)
  let model: ModelThread
  let host: ColaNode

  before(async () => {
    await startBackend()
    model = await ModelThread.open({ folder: MODEL, log: () => {} })
  })
  after(async () => { await model.dispose() })
  beforeEach(async () => { host = await nodes.honest(model) })
  afterEach(async () => { await nodes.stop() })

  /** The jobs differ in nothing but their names: their adaptation data and contributions begin with the same bytes. */
  async function train (trainer: ColaNode, job: string): Promise<TrainReport> {
    const context: TrainContext = { folder: trainer.folder, engine: 'test', reporter: { progress: () => { /* not looked at */ }, log: () => { /* nor this */ } }, signal: soon() }
    const options = { model: MODEL, batch: join(MODEL, 'batch.safetensors'), wire: 'f32', steps: 4, rank: 2, lr: 0.01, seed: 5, patience: 30 } as const
    return await trainInMesh(trainer, parseTrainOptions({ ...options, job }), context)
  }

  async function trainerNode (): Promise<ColaNode> {
    const trainer = await nodes.add()
    await hear(trainer, host)
    return trainer
  }

  function totalOf (report: TrafficReport): Record<'sent' | 'received', number> {
    const sums = Object.values(report)
    return { sent: sums.reduce((sum, { sent }) => sum + sent, 0), received: sums.reduce((sum, { received }) => sum + received, 0) }
  }

  function expectToAddUp ({ bytes, bytesByJob, bytesByPeer }: Accounts): void {
    expect(totalOf(bytesByJob)).to.deep.equal(totalOf(bytes))
    expect(totalOf(bytesByPeer)).to.deep.equal(totalOf(bytes))
  }

  /** A host drops what is gossiped of contributions that came to it with a step: of those the trainer alone has counted all. */
  function expectSameAtHost (job: string, trainer: Accounts): void {
    const [own, lent] = [trainer.bytesByJob[job], host.traffic.byJob()[job]]
    expect(lent.sent).to.equal(own.received)
    expect(lent.received).to.be.within(own.sent - trainer.bytes.contribution.sent, own.sent)
    expect(own.received, 'adaptation data').to.be.above(trainer.bytes.adaptation.received / 3)
  }

  it('are told apart of two trainers, the same at both ends', async () => {
    const trainers = [await trainerNode(), await trainerNode()]
    const reports = await Promise.all(trainers.map(async (trainer, i) => await train(trainer, `job-${i}`)))
    expect(Object.keys(host.traffic.byJob()).sort()).to.deep.equal([...reports.map(({ job }) => job), 'none'].sort())
    for (const report of reports) {
      expect(Object.keys(report.bytesByJob).sort()).to.deep.equal([report.job, 'none'].sort())
      expectToAddUp(report)
      expectSameAtHost(report.job, report)
    }
    expectToAddUp(host.traffic.accounts())
  })

  it('are told apart of one trainer that has both, the same at both ends', async () => {
    const trainer = await trainerNode()
    const [first, second] = [await train(trainer, 'first'), await train(trainer, 'second')]
    expect(second.losses).to.deep.equal(first.losses)
    expect(second.bytesByJob[first.job].received).to.equal(first.bytesByJob[first.job].received)
    expectToAddUp(second)
    expectToAddUp(host.traffic.accounts())
    for (const { job } of [first, second]) expectSameAtHost(job, trainer.traffic.accounts())
  })

  it('are in the reports of the processes', async () => {
    const scene = await Scene.open()
    try {
      const host = scene.host('host', '--model', MODEL)
      const reports = []
      for (const job of ['first', 'second']) reports.push(await reportOf(scene.train(job, '--model', MODEL, '--batch', join(MODEL, 'batch.safetensors'), '--steps', '2', '--job', job)))
      host.process.kill('SIGTERM')
      const lent = JSON.parse((await host.ended).stdout) as Accounts
      for (const accounts of [lent, ...reports]) expectToAddUp(accounts)
      for (const { job, bytesByJob } of reports) expect(lent.bytesByJob[job].sent).to.equal(bytesByJob[job].received)
    } finally {
      await scene.close()
    }
  })
})
