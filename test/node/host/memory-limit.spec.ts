import { join } from 'node:path'
import { expect } from 'chai'
import type { EngineOptions } from '../../../src/engine/open-engine.js'
import type { LentPass } from '../../../src/node/host/lent-model.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import type { AuxiliarySpec } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { expectAdaptation } from '../../gl/expect-adaptation.js'
import { contribution, seeded } from '../../merge/random.js'
import { randomBatch, writeModel } from '../../model/random-model.js'
import { relativeError } from '../../support/compare.js'
import { failureOf } from '../../support/failure.js'
import { temporaryFolder } from '../../support/temporary-folder.js'

const SPECS: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 1 }, { kind: 'linear', rank: 1, alpha: 0.5 }, { kind: 'mlp', rank: 1, alpha: 0.5 }]
const COMPILED: EngineOptions = { device: 'cpu' }
const OP_BY_OP: EngineOptions = { backend: 'wasm' }
const quiet = (): void => { /* nobody reads it */ }

describe('host: a model whose engine may take little memory', () => {
  const folder = temporaryFolder()
  let path: string
  beforeEach(async () => {
    path = join(folder(), 'model')
    await writeModel(path, { vocab_size: 53, n_positions: 16, n_embd: 12, n_layer: 2, n_head: 2 }, seeded(1))
  })

  async function withMemory<T> (memory: number | undefined, use: (model: LocalModel) => Promise<T>, engine: EngineOptions = COMPILED): Promise<T> {
    const model = await LocalModel.open(path, { ...engine, ...(memory === undefined ? {} : { memory }) }, quiet)
    try {
      return await use(model)
    } finally {
      await model.dispose()
    }
  }

  /** 11 rows of three trainers, two of which have auxiliaries beside the base model, in which others are merged. */
  function passAt ({ info: { sites, vocabSize } }: LocalModel): LentPass {
    const [lowRank, linear, mlp] = SPECS
    const random = seeded(2)
    return {
      sites: sites.map(({ name }) => name),
      logits: true,
      merged: { state: 'a', members: [contribution(3, lowRank, sites, random)] },
      parts: [
        { batch: randomBatch(3, 16, vocabSize, random), beside: [{ spec: lowRank, tensors: randomAdapter(lowRank, sites, random) }] },
        { batch: randomBatch(5, 9, vocabSize, random), beside: [], wire: 'factors', fitted: { spec: lowRank, adapter: randomAdapter(lowRank, sites, random) } },
        { batch: randomBatch(3, 16, vocabSize, random), beside: [{ spec: linear, tensors: randomAdapter(linear, sites, random) }, { spec: mlp, tensors: randomAdapter(mlp, sites.slice(2), random) }] }
      ]
    }
  }

  for (const engine of [COMPILED, OP_BY_OP]) {
    it(`does a pass in parts, with the same results, and refuses a row that is too large, ${JSON.stringify(engine)}`, async () => {
      const whole = await withMemory(undefined, async model => await model.pass(passAt(model)), engine)
      let done = 0
      for (let memory = 2 ** 10; done < 3; memory *= 2) { // the first that works holds some rows, as 11 take at least 4 times what one takes
        const results = await withMemory(memory, async model => await model.pass(passAt(model)), engine).catch((error: unknown) => error as Error)
        if (results instanceof Error) {
          expect(done, `more memory is not enough: ${results.message}`).to.equal(0)
          expect(results.name).to.equal('MemoryLimitError')
          continue
        }
        done++
        for (const [i, { loss, tokens, data, logits }] of whole.entries()) {
          expect(relativeError([results[i].loss], [loss])).to.be.below(1e-6)
          expect(results[i].tokens).to.equal(tokens)
          expect(results[i].logits!.shape).to.deep.equal(logits!.shape)
          expect(relativeError(results[i].logits!.values, logits!.values)).to.be.below(1e-5)
          expectAdaptation(results[i].data, data, 1e-5)
        }
      }
    })
  }

  it('says how much it would take, and goes on with what fits', async () => {
    await withMemory(200_000, async model => {
      const { vocabSize } = model.info
      const pass = (length: number): LentPass => ({ sites: [], merged: null, parts: [{ batch: randomBatch(1, length, vocabSize, seeded(3)), beside: [] }] })
      const all = { ...pass(16), sites: model.info.sites.map(({ name }) => name) }
      const large = { ...all, parts: [{ batch: randomBatch(64, 16, vocabSize, seeded(4)), beside: [] }] }
      expect((await model.pass(large))[0].loss).to.be.above(0)
      expect((await model.pass(pass(5)))[0].loss).to.be.above(0)
    })
    await withMemory(1000, async model => {
      const { vocabSize } = model.info
      const error = await failureOf(model.pass({ sites: [], merged: null, parts: [{ batch: randomBatch(2, 16, vocabSize, seeded(3)), beside: [] }] }))
      expect(error.name).to.equal('MemoryLimitError')
      expect(error.message).to.match(/takes \d+ MB .* may take \d+; use shorter rows, or a larger --memory/)
    })
  })
})
