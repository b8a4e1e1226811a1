import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { Host } from '../../src/node/host/host.js'
import { lend } from '../../src/node/host/lend.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import type { TrainerQuotas } from '../../src/node/host/trainer-quotas.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, trainLocally, type TrainReport } from '../../src/node/trainer/train.js'
import { tokensOf } from '../../src/places.js'
import { soon } from '../protocols/nodes.js'
import { failureOf } from '../support/failure.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'
import { hear, Nodes } from './liar.js'

const MODEL = join(FIXTURES, 'gpt2-odd')

describe('a trainer that has reached what a host has of one', function () {
  this.timeout(60_000)
  const nodes = new Nodes(MODEL)
  let model: ModelThread

  before(async () => {
    await startBackend()
    model = await ModelThread.open({ folder: MODEL, log: () => {} })
  })
  after(async () => { await model.dispose() })
  afterEach(async () => { await nodes.stop() })

  function optionsOf (more: object = {}): ReturnType<typeof parseTrainOptions> {
    return parseTrainOptions({ model: MODEL, batch: join(MODEL, 'batch.safetensors'), patience: 1, steps: 4, rank: 2, lr: 0.01, schedule: 'constant', seed: 5, ...more })
  }

  function contextOf (folder: string, lines: string[] = []): TrainContext {
    return { folder, engine: 'test', reporter: { progress: () => {}, log: line => lines.push(line) }, signal: soon() }
  }

  async function trained (quotas: Partial<TrainerQuotas>, more: object = {}): Promise<{ ended: Promise<TrainReport>, lines: string[] }> {
    const [host, trainer] = [await nodes.add(), await nodes.add()]
    await lend(host, { host: new Host({ model, jobs: host.jobs }), folder: MODEL, quotas })
    await hear(trainer, host)
    const lines: string[] = []
    return { ended: trainInMesh(trainer, optionsOf(more), contextOf(trainer.folder, lines)), lines }
  }

  it('waits with its tokens, for longer than it looks for a host, and learns the same', async () => {
    const tokensPerMinute = 20 * tokensOf(await readBatch('gpt2-odd'), model.info.sites)
    const { losses, deltaHash } = await trainLocally(optionsOf({ steps: 22 }), contextOf(await nodes.folder()))
    const { ended, lines } = await trained({ tokensPerMinute }, { steps: 22 })
    const report = await ended
    expect({ losses: report.losses, deltaHash: report.deltaHash }).to.deep.equal({ losses, deltaHash })
    expect(lines.join('\n')).to.match(/waiting for the host: this host runs at most \d+ tokens a minute/)
    expect(lines.join('\n')).to.not.match(/looking for another one/)
  })

  it('waits with the steps that run ahead until it has the data of earlier ones', async () => {
    const { losses, deltaHash } = await trainLocally(optionsOf({ interval: 4 }), contextOf(await nodes.folder()))
    const { ended } = await trained({ waitingBytes: 1 }, { interval: 4, ahead: 3 })
    const report = await ended
    expect({ losses: report.losses, deltaHash: report.deltaHash }).to.deep.equal({ losses, deltaHash })
  })

  it('ends with the name of what it is, where no further job of it is taken', async () => {
    const [host, trainer] = [await nodes.add(), await nodes.add()]
    await lend(host, { host: new Host({ model, jobs: host.jobs }), folder: MODEL, quotas: { jobs: 1 } })
    await hear(trainer, host)
    await trainInMesh(trainer, optionsOf({ steps: 1, job: 'one' }), contextOf(trainer.folder))
    expect((await failureOf(trainInMesh(trainer, optionsOf({ steps: 1, job: 'two' }), contextOf(trainer.folder)))).name).to.equal('QuotaError')
  })
})
