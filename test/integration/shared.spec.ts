import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { readAdapters } from '../../src/gl/peft/read-adapter.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, trainLocally, type TrainReport } from '../../src/node/trainer/train.js'
import { MERGES } from '../../src/types.js'
import { soon } from '../protocols/nodes.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES } from '../support/fixtures.js'
import { hear, Nodes } from './liar.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const STEPS = 6

type Given = Partial<Parameters<typeof parseTrainOptions>[0]>

function optionsOf (given: Given): ReturnType<typeof parseTrainOptions> {
  return parseTrainOptions({ model: MODEL, batch: join(MODEL, 'batch.safetensors'), sites: ['c_attn', 'mlp.c_proj'], steps: STEPS, rank: 2, lr: 0.01, schedule: 'constant', weightDecay: 0, seed: 5, patience: 30, ...given })
}

describe('a job that members share', function () {
  this.timeout(120_000)
  const nodes = new Nodes(MODEL)
  let model: ModelThread

  before(async () => {
    await startBackend()
    model = await ModelThread.open({ folder: MODEL, log: () => {} })
  })
  after(async () => { await model.dispose() })
  afterEach(async () => { await nodes.stop() })

  function contextOf (folder: string): TrainContext {
    return { folder, engine: 'test', reporter: { progress: () => { /* not looked at */ }, log: () => { /* nor this */ } }, signal: soon() }
  }

  /** Trainers of one job with these options of their own, each at a node of its own, at one host. */
  async function together (...all: readonly Given[]): Promise<TrainReport[]> {
    const host = await nodes.honest(model)
    const trainers = await Promise.all(all.map(async () => await nodes.add()))
    for (const trainer of trainers) await hear(trainer, host)
    return await Promise.all(trainers.map(async (trainer, i) => await trainInMesh(trainer, optionsOf({ members: all.length, ...all[i] }), contextOf(trainer.folder))))
  }

  async function alone (given: Given): Promise<TrainReport> {
    return await trainLocally(optionsOf(given), contextOf(await nodes.folder()))
  }

  function expectLearned ({ losses }: TrainReport): void {
    expect(losses).to.have.lengthOf(STEPS)
    expect(losses.at(-1)).to.be.below(losses[0] - 0.01)
  }

  for (const mode of ['joint', 'collaboration'] as const) {
    it(`by its sites ends with one adapter of all of them, the same at each, ${mode}`, async () => {
      const reports = await together({ mode, fitSites: ['c_attn'] }, { mode, fitSites: ['mlp.c_proj'] })
      for (const report of reports) expectLearned(report)
      expect(new Set(reports.map(({ deltaHash }) => deltaHash)).size).to.equal(1)
      const [first, second] = await Promise.all(reports.map(async ({ adapter }) => await readAdapters(adapter)))
      expect(second).to.deep.equal(first)
      expect(first.map(({ tensors }) => [...tensors.keys()].sort())).to.deep.equal([['attn.c_attn', 'mlp.c_proj'].flatMap(end => [0, 1].map(n => `transformer.h.${n}.${end}`)).sort()])
    })
  }

  it('as a mixture ends with a ΔW and what is none beside it, the same at each', async () => {
    const mixture = { mode: 'collaboration', aux: 'low-rank~linear~mlp' } as const
    const reports = await together(mixture, { ...mixture, ownAux: 'mlp' }, { ...mixture, ownAux: 'linear' })
    for (const report of reports) expectLearned(report)
    expect(new Set(reports.map(({ deltaHash }) => deltaHash)).size).to.equal(1)
    for (const { adapter } of reports) {
      expect((await readdir(adapter)).sort()).to.deep.equal(['part-1', 'part-2'])
      expect((await readAdapters(adapter)).map(({ spec: { kind } }) => kind)).to.deep.equal(['linear', 'mlp'])
    }
  })

  for (const mode of ['joint', 'collaboration'] as const) {
    it(`ends at each in the same state where a straggler is far from done and the others have the quorum, ${mode}`, async () => {
      const reports = await together({ mode, quorum: 0.02 }, { mode, quorum: 0.02 }, { mode, quorum: 0.02, steps: 1_000_000 })
      expect(reports.map(({ steps }) => steps).slice(0, 2)).to.deep.equal([STEPS, STEPS])
      expect(reports[2].steps).to.be.within(1, 999_999)
      expect(new Set(reports.map(({ deltaHash }) => deltaHash)).size).to.equal(1)
      for (const { members } of reports) expect(members.map(({ tokens }) => tokens).sort()).to.deep.equal(reports.map(({ tokens }) => tokens).sort())
    })
  }

  it('by a single one that fits some of its sites is the job of those alone', async () => {
    const [some, whole] = [await alone({ fitSites: ['c_attn'] }), await alone({ sites: ['c_attn'] })]
    expect(some.losses).to.deep.equal(whole.losses)
    expect(await readAdapters(some.adapter)).to.deep.equal(await readAdapters(whole.adapter))
  })

  for (const aux of ['low-rank', 'linear'] as const) {
    it(`has the same losses whatever is merged when, ${aux}`, async () => {
      const [during, after, never] = await Promise.all(MERGES.map(async merge => await alone({ aux, merge })))
      for (const { losses } of [during, after]) {
        for (const [step, loss] of losses.entries()) expect(relativeError([loss], [never.losses[step]]), `step ${step}`).to.be.below(1e-4)
      }
      expectLearned(never)
    })
  }
})
