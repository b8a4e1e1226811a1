import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import type { StackedAdapter } from '../../../src/merge/stack.js'
import type { ModelInfo } from '../../../src/model/base-model.js'
import type { EncodedPart } from '../../../src/node/host/encoded-part.js'
import type { LentPass, LentResult, Merged } from '../../../src/node/host/lent-model.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import { ModelThread } from '../../../src/node/host/model-thread.js'
import type { Contributed } from '../../../src/node/job-members.js'
import type { AuxiliarySpec } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { contribution, seeded } from '../../merge/random.js'
import { randomBatch, writeModel } from '../../model/random-model.js'
import { withValues } from '../../support/batch.js'
import { temporaryFolder } from '../../support/temporary-folder.js'
import { failureOf } from '../../support/failure.js'

const TINY = join(import.meta.dirname, '..', '..', '..', 'models', 'tiny')
const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 1 }

/** One thread of the engine, so that sums are made in one order, and results are equal to the bit. */
const OPTIONS = { threads: 1 }
const quiet = (): void => { /* nobody reads it */ }

function passOf ({ sites, vocabSize, positions }: ModelInfo, change: Partial<LentPass> = {}): LentPass {
  return { parts: [{ batch: randomBatch(2, positions, vocabSize, seeded(1)), beside: [] }], sites: sites.map(({ name }) => name), merged: null, ...change }
}

function ownOf ({ sites }: ModelInfo, change: (value: number) => number = value => value): Contributed {
  const adapter = randomAdapter(SPEC, sites, seeded(2))
  return {
    spec: SPEC,
    adapter: new Map([...adapter].map(([site, own]) => [site, new Map([...own].map(([name, { shape, values }]) => [name, { shape, values: values.map(change) }]))]))
  }
}

function besideOf (info: ModelInfo, change?: (value: number) => number): StackedAdapter[] {
  const { spec, adapter } = ownOf(info, change)
  return [{ spec, tensors: adapter }]
}

function mergedOf ({ sites }: ModelInfo, state: string, seed: number): Merged {
  return { state, members: [contribution(3, SPEC, sites, seeded(seed)), contribution(5, SPEC, sites, seeded(seed + 1))] }
}

/** With all that comes of them. */
async function whole (lent: Promise<LentResult[]>): Promise<Array<Omit<LentResult, 'parts'> & { readonly parts: EncodedPart[] }>> {
  const results = []
  for (const { parts, ...result } of await lent) {
    const all: EncodedPart[] = []
    for await (const { sites, bytes, manifest } of parts) all.push({ sites, bytes: bytes.slice(), manifest }) // those of a thread are shared with it
    results.push({ ...result, parts: all })
  }
  return results
}

function losses (results: readonly LentResult[]): number[] {
  return results.map(({ loss }) => loss)
}

describe('host: a model in a thread of its own', () => {
  const folder = temporaryFolder()
  const opened: Array<{ dispose (): Promise<void> }> = []
  let path: string

  beforeEach(async () => {
    path = join(folder(), 'model')
    await writeModel(path, { vocab_size: 23, n_positions: 8, n_embd: 10, n_layer: 2, n_head: 2 }, seeded(3))
  })
  afterEach(async () => { for (const model of opened.splice(0)) await model.dispose() })

  async function threadOf (from = path): Promise<ModelThread> {
    const model = await ModelThread.open({ folder: from, log: quiet, ...OPTIONS })
    opened.push(model)
    return model
  }

  async function localOf (from = path): Promise<LocalModel> {
    const model = await LocalModel.open(from, OPTIONS, quiet)
    opened.push(model)
    return model
  }

  /** A model, and the thread in which it is, which Node tells of when it is made. */
  async function withWorker (): Promise<{ model: ModelThread, worker: Worker }> {
    const workers: Worker[] = []
    const onWorker = (worker: Worker): void => { workers.push(worker) }
    process.on('worker', onWorker)
    try {
      const model = await threadOf()
      expect(workers).to.have.lengthOf(1)
      return { model, worker: workers[0] }
    } finally {
      process.off('worker', onWorker)
    }
  }

  it('gives what it gives in this one', async () => {
    const [thread, local] = [await threadOf(), await localOf()]
    expect(thread.info).to.deep.equal(local.info)
    expect(thread.engine).to.deep.equal({ name: local.engine.name, description: local.engine.description })
    const { info } = local
    const two = passOf(info)
    const more = { batch: randomBatch(3, 5, info.vocabSize, seeded(4)), beside: besideOf(info) }
    for (const pass of [
      passOf(info),
      passOf(info, { logits: true }),
      passOf(info, { sites: [] }),
      passOf(info, { sites: [info.sites[3].name] }),
      passOf(info, { parts: [...two.parts, more] }),
      passOf(info, { parts: [{ ...more, encoded: true }, { ...two.parts[0], wire: 'bf16', encoded: true }, more] }),
      passOf(info, { parts: [{ ...more, wire: 'factors', fitted: ownOf(info) }, { ...more, wire: 'factors', fitted: ownOf(info), encoded: true }] }),
      passOf(info, { parts: [more, more], merged: mergedOf(info, 'a', 5), logits: true })
    ]) {
      const results = await whole(thread.pass(pass))
      expect(results).to.deep.equal(await whole(local.pass(pass)))
      for (const [i, { encoded = false }] of pass.parts.entries()) expect(!encoded ? [...results[i].data.keys()] : results[i].parts.flatMap(({ sites }) => sites)).to.deep.equal(pass.sites)
    }
  })

  it('leaves what it is given to the caller', async () => {
    const thread = await threadOf()
    const pass = passOf(thread.info, { parts: [{ batch: randomBatch(2, 8, 23, seeded(6)), beside: besideOf(thread.info) }], merged: mergedOf(thread.info, 'a', 5) })
    const first = await whole(thread.pass(pass))
    expect(pass.parts[0].batch).to.deep.equal(randomBatch(2, 8, 23, seeded(6)))
    expect(pass.parts[0].beside).to.deep.equal(besideOf(thread.info))
    expect(pass.merged).to.deep.equal(mergedOf(thread.info, 'a', 5))
    expect(await whole(thread.pass({ ...pass, merged: mergedOf(thread.info, 'b', 5) }))).to.deep.equal(first)
  })

  it('keeps the names of errors, and goes on', async () => {
    const thread = await threadOf()
    const right = passOf(thread.info)
    const [{ batch }] = right.parts
    const first = await whole(thread.pass(right))
    for (const [name, pass] of [
      ['InvalidBatchError', { ...right, parts: [{ batch: withValues(batch, 'input_ids', ids => ids.with(0, 23)), beside: [] }] }],
      ['InvalidBatchError', { ...right, parts: [{ batch: withValues(batch, 'labels', labels => labels.map(() => -100)), beside: [] }] }],
      ['NonFiniteError', { ...right, parts: [{ batch, beside: besideOf(thread.info, () => 1e30) }] }],
      ['UnknownSiteError', { ...right, sites: ['transformer.h.9.attn.c_attn'] }]
    ] as ReadonlyArray<readonly [string, LentPass]>) {
      const error = await failureOf(thread.pass(pass))
      expect(error.name).to.equal(name)
      expect(error.message).to.not.be.empty
      expect(await whole(thread.pass(right)), `after ${name}`).to.deep.equal(first)
    }
  })

  it('says at once that a model cannot be loaded', async () => {
    const error = await failureOf(threadOf(join(folder(), 'none')))
    expect(error.name).to.equal('InvalidModelError')
    expect(error.message).to.include('none')
  })

  it('merges a state once, and goes back to θ', async () => {
    const [thread, local] = [await threadOf(), await localOf()]
    const { info } = thread
    const pristine = losses(await local.pass(passOf(info)))
    const [a, b] = [mergedOf(info, 'a', 5), mergedOf(info, 'b', 7)]
    const [mergedA, mergedB] = [losses(await local.pass(passOf(info, { merged: a }))), losses(await local.pass(passOf(info, { merged: b })))]
    expect(new Set([pristine, mergedA, mergedB].flat()).size).to.equal(3)
    const lossesWith = async (merged: Merged | null): Promise<number[]> => losses(await thread.pass(passOf(info, { merged })))
    expect(await lossesWith(null)).to.deep.equal(pristine)
    expect(await lossesWith(a)).to.deep.equal(mergedA)
    expect(await lossesWith(a)).to.deep.equal(mergedA)
    expect(await lossesWith({ ...a, members: b.members }), 'the state says what is merged').to.deep.equal(mergedA)
    expect(await lossesWith(b)).to.deep.equal(mergedB)
    expect(await lossesWith(null)).to.deep.equal(pristine)
    expect(await lossesWith(null)).to.deep.equal(pristine)
    expect(await lossesWith(b)).to.deep.equal(mergedB)
  })

  it('merges anew after a pass that failed', async () => {
    const thread = await threadOf()
    const { info } = thread
    const a = mergedOf(info, 'a', 5)
    const expected = await whole(thread.pass(passOf(info, { merged: a })))
    expect((await failureOf(thread.pass(passOf(info, { merged: a, sites: ['none'] })))).name).to.equal('UnknownSiteError')
    expect(await whole(thread.pass(passOf(info, { merged: a })))).to.deep.equal(expected)
    expect(await whole(thread.pass(passOf(info, { merged: a })))).to.deep.equal(expected)
  })

  for (const [where, open] of Object.entries({ 'in a thread': threadOf, 'in this one': localOf })) {
    it(`is θ again after a merge that failed, ${where}`, async () => {
      const model = await open()
      const { info } = model
      const pristine = await whole(model.pass(passOf(info)))
      await model.pass(passOf(info, { merged: mergedOf(info, 'a', 5) }))
      const wrong = { state: 'b', members: mergedOf(info, 'b', 7).members.map(member => ({ ...member, spec: { ...SPEC, rank: 3 } })) }
      expect((await failureOf(model.pass(passOf(info, { merged: wrong })))).name).to.equal('InvalidAdapterError')
      expect(await whole(model.pass(passOf(info)))).to.deep.equal(pristine)
    })
  }

  it('tells those who wait when the thread ends, and starts another one', async () => {
    const { model, worker } = await withWorker()
    const merged = mergedOf(model.info, 'a', 5)
    const expected = await whole(model.pass(passOf(model.info, { merged })))
    const long = { batch: randomBatch(10_000, model.info.positions, model.info.vocabSize, seeded(1)), beside: [] } // the thread ends within it
    const waiting = failureOf(model.pass(passOf(model.info, { parts: [long], merged })))
    await worker.terminate()
    expect((await waiting).name).to.equal('EngineError')
    expect(await whole(model.pass(passOf(model.info, { merged }))), 'it is merged again').to.deep.equal(expected)
  })

  it('starts another thread where one ended while nobody waited', async () => {
    const { model, worker } = await withWorker()
    const expected = await whole(model.pass(passOf(model.info)))
    await worker.terminate()
    expect(await whole(model.pass(passOf(model.info)))).to.deep.equal(expected)
  })

  it('says why it cannot start another thread, and tries again', async () => {
    const { model, worker } = await withWorker()
    const expected = await whole(model.pass(passOf(model.info)))
    await rename(path, `${path}.away`)
    await worker.terminate()
    for (let i = 0; i < 2; i++) expect((await failureOf(model.pass(passOf(model.info)))).name).to.equal('InvalidModelError')
    await rename(`${path}.away`, path)
    expect(await whole(model.pass(passOf(model.info)))).to.deep.equal(expected)
  })

  it('tells those who wait when it is closed', async () => {
    const model = await threadOf()
    const waiting = failureOf(model.pass(passOf(model.info)))
    await model.dispose()
    expect((await waiting).name).to.equal('EngineError')
    await model.dispose()
  })

  it('takes no more passes once it is closed', async () => {
    const model = await threadOf()
    await model.dispose()
    const error = await failureOf(model.pass(passOf(model.info)))
    expect(error.name).to.equal('EngineError')
    expect(error.message).to.include('closed')
  })

  it('leaves this thread free while it computes', async () => {
    const model = await threadOf(TINY)
    const { sites, vocabSize } = model.info
    let [turns, done] = [0, false]
    const timer = setInterval(() => { if (!done) turns++ }, 1)
    const pass = model.pass({ parts: [{ batch: randomBatch(8, 128, vocabSize, seeded(8)), beside: [] }], sites: sites.map(({ name }) => name), merged: null })
    const [{ loss }] = await pass.finally(() => { done = true })
    clearInterval(timer)
    expect(loss).to.be.above(0)
    expect(turns).to.be.above(5)
  })
})
