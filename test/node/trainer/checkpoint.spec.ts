import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { Auxiliary } from '../../../src/gl/auxiliary.js'
import { GradientLearner } from '../../../src/gl/gradient-learner.js'
import { Optimizer, OPTIMIZERS, type OptimizerKind } from '../../../src/gl/optimizer.js'
import { createSchedule, type ScheduleKind, SCHEDULES } from '../../../src/gl/schedule.js'
import { type Checkpoint, CheckpointFile, type Progress } from '../../../src/node/trainer/checkpoint.js'
import { encodeSafetensors } from '../../../src/tensor/safetensors.js'
import type { AdapterTensors } from '../../../src/types.js'
import { randomData, SITES } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { temporaryFolder } from '../../support/temporary-folder.js'
import { adapterOf, SPEC } from '../author.js'
import { failureOf } from '../../support/failure.js'

const PROGRESS: Progress = { step: 3, tokens: 384, losses: [10.8, 0.1 + 0.2, 5e-324], milliseconds: 1234.5678, sharedSteps: 1, baseLoss: 10.9, stale: { refused: 2, decayed: 1 } }

/** What has no short way through text or float32. */
const ODD = Float32Array.of(-0, 1e-45, -1.1754942e-38, 3.4028235e38, 0.1, -1 / 3, 1 + 2 ** -23, 0)

const CHECKPOINT: Checkpoint = {
  progress: PROGRESS,
  adapter: new Map([
    ['transformer.h.0.attn.c_attn', new Map([['lora_A.weight', { shape: [2, 4], values: ODD }], ['lora_B.weight', { shape: [4, 2], values: ODD.toReversed() }]])],
    ['transformer.h.1.mlp', new Map([['weight', { shape: [1, 1], values: Float32Array.of(7) }]])]
  ]),
  learner: new Map<string, { shape: number[], values: Float32Array | Int32Array }>([
    ['fits', { shape: [1], values: Int32Array.of(2 ** 31 - 1) }],
    ['optimizer.transformer.h.0.attn.c_attn.lora_A.weight.m', { shape: [2, 4], values: ODD }],
    ['sum.scalar', { shape: [], values: Float32Array.of(-0) }],
    ['sum.nothing', { shape: [0, 4], values: new Float32Array() }]
  ]),
  older: [
    { fits: 9, tokens: 12, adapter: new Map([['transformer.h.1.mlp', new Map([['weight', { shape: [1, 1], values: Float32Array.of(-0) }]])]]) },
    { fits: 10, tokens: 24, adapter: new Map([['transformer.h.1.mlp', new Map([['weight', { shape: [1, 1], values: Float32Array.of(6) }]])]]) }
  ]
}

describe('the checkpoint of a run', () => {
  const folder = temporaryFolder()
  const path = (): string => join(folder(), 'checkpoints', 'run.safetensors')
  const file = (run = 'a'): CheckpointFile => new CheckpointFile(path(), run)

  it('is read to the bit as it was written', async () => {
    await file().save(CHECKPOINT)
    const loaded = await file().load()
    expect(loaded).to.deep.equal(CHECKPOINT)
    const bits = ({ adapter }: Checkpoint): string[] => [...adapter.values()].flatMap(own => [...own.values()].map(({ values }) => Buffer.from(values.slice().buffer).toString('hex')))
    expect(bits(loaded!)).to.deep.equal(bits(CHECKPOINT))
    expect(Object.is(loaded?.learner.get('sum.scalar')?.values[0], -0)).to.equal(true)
  })

  const others: Record<string, Checkpoint> = {
    'of a run that has not begun': { progress: { step: 0, tokens: 0, losses: [], milliseconds: 0, sharedSteps: 1, baseLoss: null, stale: { refused: 0, decayed: 0 } }, adapter: new Map(), learner: new Map(), older: [] },
    'with no auxiliary': { ...CHECKPOINT, adapter: new Map() },
    'with no state of a learner': { ...CHECKPOINT, learner: new Map() },
    'with no step under way': { ...CHECKPOINT, older: [] },
    'without held-out data': { ...CHECKPOINT, progress: { ...PROGRESS, baseLoss: null } }
  }
  for (const [what, checkpoint] of Object.entries(others)) {
    it(`is read as it was written, ${what}`, async () => {
      await file().save(checkpoint)
      expect(await file().load()).to.deep.equal(checkpoint)
    })
  }

  it('is none before the first', async () => {
    expect(await file().load()).to.equal(undefined)
  })

  it('is none where another run has left one, which stays', async () => {
    await file('a').save(CHECKPOINT)
    expect(await file('b').load()).to.equal(undefined)
    expect(await file('a').load()).to.deep.equal(CHECKPOINT)
  })

  it('takes the place of the one before, whoever left that', async () => {
    await file('b').save(CHECKPOINT)
    const next = { ...CHECKPOINT, progress: { ...PROGRESS, step: 4 }, learner: new Map() }
    await file('a').save(next)
    expect(await file('a').load()).to.deep.equal(next)
    expect(await file('b').load()).to.equal(undefined)
  })

  it('is one file, and leaves nothing beside it', async () => {
    for (let step = 0; step < 3; step++) await file().save({ ...CHECKPOINT, progress: { ...PROGRESS, step } })
    expect(await readdir(folder(), { recursive: true })).to.have.members(['checkpoints', join('checkpoints', 'run.safetensors')])
  })

  it('leaves nothing where it cannot be written', async () => {
    await mkdir(join(path(), 'inner'), { recursive: true })
    expect(await failureOf(file().save(CHECKPOINT))).to.have.property('code', 'EISDIR')
    expect(await readdir(join(folder(), 'checkpoints'))).to.deep.equal(['run.safetensors'])
  })

  it('is not begun anew where it cannot be read', async () => {
    await mkdir(path(), { recursive: true })
    expect(await failureOf(file().load())).to.have.property('code', 'EISDIR')
  })

  it('is damaged where an auxiliary holds integers', async () => {
    const integers = { shape: [1, 1], values: Int32Array.of(7) as unknown as Float32Array }
    await file().save({ ...CHECKPOINT, adapter: new Map([['transformer.h.1.mlp', new Map([['weight', integers]])]]) })
    expect((await failureOf(file().load())).name).to.equal('InvalidTensorError')
  })

  it('is gone when it is removed, which may be done twice', async () => {
    await file().save(CHECKPOINT)
    await file().remove()
    expect(await file().load()).to.equal(undefined)
    expect(await readdir(join(folder(), 'checkpoints'))).to.deep.equal([])
    await file().remove()
  })

  describe('that is damaged is refused, and left as it is:', () => {
    const progressed = (metadata: unknown): Uint8Array => encodeSafetensors(new Map(), { metadata: { colanet: JSON.stringify(metadata) } })
    const damages: Record<string, (whole: Uint8Array) => Uint8Array> = {
      empty: () => new Uint8Array(),
      text: () => Buffer.from('surprise, surprise'),
      'cut in its header': whole => whole.subarray(0, 40),
      'without its last byte': whole => whole.subarray(0, -1),
      'one byte longer': whole => Uint8Array.of(...whole, 0),
      'zeros of its length': whole => new Uint8Array(whole.byteLength),
      'with another header length': whole => whole.map((byte, i) => i === 0 ? byte ^ 8 : byte),
      'safetensors of something else': () => encodeSafetensors(new Map([['weight', { shape: [1], values: Float32Array.of(1) }]])),
      'progress that is not JSON': () => encodeSafetensors(new Map(), { metadata: { colanet: '{' } }),
      'progress without a run': () => progressed(PROGRESS),
      'progress without losses': () => progressed({ run: 'a', ...PROGRESS, losses: undefined }),
      'progress with a negative step': () => progressed({ run: 'a', ...PROGRESS, step: -1 }),
      'progress with half a token': () => progressed({ run: 'a', ...PROGRESS, tokens: 0.5 }),
      'progress with a loss that is text': () => progressed({ run: 'a', ...PROGRESS, losses: ['1'] }),
      'progress that is a list': () => progressed([])
    }
    for (const [how, damage] of Object.entries(damages)) {
      it(how, async () => {
        await file().save(CHECKPOINT)
        const damaged = damage(await readFile(path()))
        await writeFile(path(), damaged)
        const failure = await failureOf(file().load())
        expect(failure.name).to.equal('InvalidTensorError')
        expect(failure.message).to.include(path())
        expect((await readFile(path())).equals(damaged)).to.equal(true)
      })
    }
  })

  describe('has a learner go on to the bit as if it had not been interrupted', () => {
    before(async () => { await startBackend() })

    const BATCHES = 11
    const INTERVAL = 3

    const learnerOf = (optimizer: OptimizerKind, schedule: ScheduleKind, adapter: AdapterTensors): GradientLearner => new GradientLearner({
      auxiliaries: SITES.map(site => new Auxiliary(SPEC, site, { tensors: adapter.get(site.name)! })),
      optimizer: new Optimizer(optimizer, 0.01),
      schedule: createSchedule({ kind: schedule, rate: 0.1, fits: Math.ceil(BATCHES / INTERVAL), warmup: 0.3 }),
      interval: INTERVAL,
      maxNorm: 5,
      clip: 'auxiliary'
    })

    async function train (learner: GradientLearner, from: number, to: number): Promise<void> {
      for (let step = from; step < to; step++) {
        for (const [site, data] of randomData(SITES, 4, seeded(step))) learner.gather(site, data)
        learner.endBatch()
        if (learner.ready || step === BATCHES - 1) await learner.fit()
      }
    }

    for (const optimizer of OPTIMIZERS) {
      for (const schedule of SCHEDULES) {
        it(`with ${optimizer} and a ${schedule} schedule, wherever in an interval`, async () => {
          const before = tf.memory().numTensors
          const [whole, first] = [learnerOf(optimizer, schedule, adapterOf(1)), learnerOf(optimizer, schedule, adapterOf(1))]
          await train(whole, 0, BATCHES)
          const end = { adapter: await whole.adapter(), learner: await whole.state() }
          for (let at = 0; at < BATCHES; at++) {
            await file().save({ progress: PROGRESS, adapter: await first.adapter(), learner: await first.state(), older: [] })
            const loaded = (await file().load())!
            const second = learnerOf(optimizer, schedule, loaded.adapter)
            second.restore(loaded.learner)
            await train(second, at, BATCHES)
            expect({ adapter: await second.adapter(), learner: await second.state() }, `after ${at} batches`).to.deep.equal(end)
            second.dispose()
            await train(first, at, at + 1)
          }
          for (const learner of [whole, first]) learner.dispose()
          expect(tf.memory().numTensors).to.equal(before)
        })
      }
    }
  })
})
