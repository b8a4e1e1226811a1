import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { UnknownJobError } from '../../src/errors.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import type { ColaNode } from '../../src/node/node.js'
import { parseTrainOptions, type TrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, trainLocally, type TrainReport } from '../../src/node/trainer/train.js'
import { tensorsOf } from '../../src/tensor/adaptation.js'
import { failureOf } from '../support/failure.js'
import { FIXTURES } from '../support/fixtures.js'
import { hear, type Lies, Nodes } from './liar.js'

const TINY = join(import.meta.dirname, '..', '..', 'models', 'tiny')
const NOTES = join(import.meta.dirname, '..', '..', 'README.md')
const STEPS = 14

type Given = Partial<Parameters<typeof parseTrainOptions>[0]>

const REFUSE = { ahead: 2, interval: 4, stale: 'refuse' } as const
const DECAY = { ahead: 4, interval: 1, stale: 'decay' } as const

describe('steps that run ahead through the mesh', function () {
  this.timeout(120_000)
  const nodes = new Nodes(TINY)
  const references = new Map<string, TrainReport>()
  let models: ModelThread[]

  before(async () => {
    await startBackend()
    models = await Promise.all([1, 2].map(async () => await ModelThread.open({ folder: TINY, log: () => {} })))
  })
  after(async () => { for (const model of models) await model.dispose() })
  afterEach(async () => { await nodes.stop() })

  function optionsOf (given: Given): TrainOptions {
    return parseTrainOptions({ model: TINY, data: [NOTES], batchSize: 1, length: 16, heldOutRows: 1, rank: 2, lr: 0.01, schedule: 'constant', seed: 5, patience: 15, steps: STEPS, wire: 'factors', ...given })
  }

  /** In one process; each way once. */
  async function locally (given: Given): Promise<TrainReport> {
    const key = JSON.stringify(given)
    const report = references.get(key) ?? await trainLocally(optionsOf(given), contextOf(await nodes.folder()))
    references.set(key, report)
    return report
  }

  function expectSame ({ losses, deltaHash, tokens, heldOut, stale }: TrainReport, expected: TrainReport): void {
    expect(losses).to.have.lengthOf(STEPS).and.deep.equal(expected.losses)
    expect({ deltaHash, tokens, heldOut, stale }).to.deep.equal({ deltaHash: expected.deltaHash, tokens: expected.tokens, heldOut: expected.heldOut, stale: expected.stale })
  }

  /** A trainer that two hosts are on offer to, of which it meets the first. */
  async function between (first: ColaNode, trainer: ColaNode): Promise<ColaNode> {
    const second = await nodes.honest(models[1])
    await hear(trainer, first)
    return second
  }

  for (const wire of ['factors', 'f32'] as const) {
    for (const mode of ['alone', 'collaboration'] as const) {
      it(`give to the bit what they give in one process, and where stale data are refused what one at a time gives, ${mode}, ${wire}`, async () => {
        const trainer = await nodes.add()
        await hear(trainer, await nodes.honest(models[0]))
        for (const way of [REFUSE, DECAY, { ...DECAY, interval: 3 }]) {
          const job = `${way.stale} ${way.interval}`
          expectSame(await trainInMesh(trainer, optionsOf({ ...way, wire, mode, job }), contextOf(trainer.folder)),
            await locally({ wire, mode, ...way.stale === 'refuse' ? { interval: way.interval } : way }))
        }
      })
    }
  }

  for (const way of [REFUSE, DECAY]) {
    it(`of the same rows, whose data are the same bytes, are lent as long as one of them is wanted, ${way.stale}`, async () => {
      const odd = join(FIXTURES, 'gpt2-odd')
      const model = await ModelThread.open({ folder: odd, log: () => {} })
      try {
        const trainer = await nodes.add()
        await hear(trainer, await nodes.honest(model))
        const given = { model: odd, data: undefined, batch: join(odd, 'batch.safetensors'), length: undefined, wire: 'f32', ...way } as const
        const lines: string[] = []
        expectSame(await trainInMesh(trainer, optionsOf(given), contextOf(trainer.folder, { lines })), await locally(given))
        expect(lines.join()).to.not.include('looking for another one')
      } finally {
        await model.dispose()
      }
    })

    it(`go on at another host when theirs leaves with some of them under way, ${way.stale}`, async () => {
      const trainer = await nodes.add()
      const first = await nodes.honest(models[0])
      const second = await between(first, trainer)
      let left: Promise<void> | undefined
      const onStep = (done: number): void => {
        if (done === 5) left = hear(trainer, second).then(async () => { await nodes.leave(first) })
      }
      expectSame(await trainInMesh(trainer, optionsOf({ ...way, steps: STEPS, wire: 'f32' }), contextOf(trainer.folder, { onStep })), await locally({ ...way, wire: 'f32' }))
      await left
    })

    it(`are sent again with the same auxiliaries by the same command, after it was ended, ${way.stale}`, async () => {
      const host = await nodes.honest(models[0])
      const folder = await nodes.folder()
      for (const at of [3, 6, 11, undefined]) {
        const trainer = await nodes.add(folder)
        await hear(trainer, host)
        const leaving = new AbortController()
        const onStep = (done: number): void => { if (done === at) leaving.abort(new Error('left')) }
        const ended = trainInMesh(trainer, optionsOf(way), contextOf(folder, { onStep, signal: leaving.signal }))
        if (at === undefined) expectSame(await ended, await locally(way))
        else expect((await failureOf(ended)).message).to.equal('left')
        await nodes.leave(trainer)
      }
    })
  }

  const lies: ReadonlyArray<readonly [what: string, lies: Lies]> = [
    ['sends values that are NaN', { data: data => { for (const own of data.values()) tensorsOf(own)[0].values.fill(NaN); return data } }],
    ['closes the connection instead of answering', { closes: 'connection' }],
    ['answers and is gone, without the data', { closes: 'connection afterwards' }],
    ['names an auxiliary that the trainer never had', { reply: reply => ({ ...reply, version: 'f'.repeat(64) }) }],
    ['forgets the job again and again', { reply: () => { throw new UnknownJobError('which job?') } }]
  ]
  for (const [what, lie] of lies) {
    for (const way of [REFUSE, DECAY]) {
      it(`go on at the honest host beside one that ${what}, as if nothing had been, ${way.stale}`, async () => {
        const trainer = await nodes.add()
        const honest = await nodes.honest(models[0])
        const liar = await nodes.liar(models[1], lie, { from: 5, before: async () => { await hear(trainer, honest) } })
        await hear(trainer, liar)
        const lines: string[] = []
        expectSame(await trainInMesh(trainer, optionsOf(way), contextOf(trainer.folder, { lines })), await locally(way))
        expect(lines.slice(lines.indexOf(`using host ${liar.mesh.peerId.toString()}`))).to.include(`using host ${honest.mesh.peerId.toString()}`)
      })
    }
  }

  it('are refused, and sent elsewhere, where a host runs an auxiliary that was fitted since', async () => {
    const trainer = await nodes.add()
    const honest = await nodes.honest(models[0])
    const versions: string[] = []
    const liar = await nodes.liar(models[1], {
      reply: (reply, { step, purpose }) => {
        if (purpose === 'evaluate') return reply
        versions.push(reply.version!)
        return step < 5 ? reply : { ...reply, version: versions[0] }
      }
    }, { before: async () => { await hear(trainer, honest) } })
    await hear(trainer, liar)
    const { stale, ...report } = await trainInMesh(trainer, optionsOf(REFUSE), contextOf(trainer.folder))
    expectSame({ ...report, stale: { refused: 0, decayed: 0 } }, await locally({ interval: 4 }))
    expect(stale.refused).to.be.above(0)
  })

  it('are no more than a host keeps, and none in a joint job or with several tasks', () => {
    expect(() => optionsOf({ ahead: 5 })).to.throw().with.property('name', 'InvalidOptionError')
    expect(() => optionsOf({ ahead: 1, mode: 'joint' })).to.throw('--mode joint').with.property('name', 'InvalidOptionError')
    expect(() => optionsOf({ ahead: 0, mode: 'joint' })).to.not.throw()
    expect(() => optionsOf({ ahead: 1, data: undefined, tasks: { one: [NOTES] } })).to.throw('--tasks').with.property('name', 'InvalidOptionError')
  })
})

function contextOf (folder: string, { lines = [], onStep, signal = AbortSignal.timeout(60_000) }: { lines?: string[], onStep?: (done: number) => void, signal?: AbortSignal } = {}): TrainContext {
  return { folder, engine: 'test', reporter: { progress: (what, done) => { if (what === 'training') onStep?.(done) }, log: line => lines.push(line) }, signal }
}
