import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { type Backend, startBackend } from '../../src/engine/backend.js'
import { openEngine } from '../../src/engine/open-engine.js'
import { readAdapter } from '../../src/gl/peft/read-adapter.js'
import { joinBlocks } from '../../src/gl/row-blocks.js'
import { BaseModel } from '../../src/model/base-model.js'
import type { Decoder } from '../../src/model/decoder.js'
import { generate, type GenerateOptions } from '../../src/model/generate.js'
import { selectSites } from '../../src/model/sites.js'
import { changesOf } from '../../src/node/host/weight-changes.js'
import { batchOf } from '../../src/tensor/batch.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readJson } from '../support/fixtures.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { writeModel } from './random-model.js'

/** Of transformers, see scripts/fixtures.py. */
interface Generated {
  readonly prompt: readonly number[]
  readonly greedy: readonly number[]
  readonly withoutRepetition: readonly number[]
  readonly adapted: readonly number[]
}

const MODELS = ['gpt2-long', 'llama-grouped', 'llama-plain', 'mistral', 'qwen2', 'qwen3', 'bart', 't5']
const NEW_TOKENS = 40

async function all (decoder: Decoder, prompt: readonly number[], options: Partial<GenerateOptions> = {}): Promise<number[]> {
  const ids: number[] = []
  for await (const id of generate(decoder, prompt, { maxNewTokens: NEW_TOKENS, ...options })) ids.push(id)
  return ids
}

describe('generation', () => {
  let backend: Backend
  before(async () => { backend = await startBackend() })

  for (const name of MODELS) {
    for (const engine of ['compiled', 'op by op'] as const) {
      it(`gives transformers' tokens, with and without an adapter: ${name}, ${engine}`, async () => {
        const before = tf.memory().numTensors
        const { prompt, greedy, withoutRepetition, adapted } = await readJson(name, 'generated.json') as Generated
        const model = await BaseModel.load(join(FIXTURES, name), async weights => await openEngine(weights, engine === 'compiled' ? { device: 'cpu' } : { backend: backend.name }, () => {}))
        expect(await all(model.decoder(), prompt)).to.deep.equal(greedy)
        expect(await all(model.decoder(), prompt, { noRepeatNgramSize: 3 })).to.deep.equal(withoutRepetition)
        const { spec, tensors } = await readAdapter(join(FIXTURES, name, 'adapter'))
        const sites = selectSites(model.info, [...tensors.keys()])
        expect(await all(model.decoder(joinBlocks([{ rows: 1, own: [{ spec, adapter: tensors }] }], [...tensors.keys()])), prompt)).to.deep.equal(adapted)
        await model.merge(changesOf(spec, tensors, sites))
        expect(await all(model.decoder(), prompt)).to.deep.equal(adapted)
        await model.dispose()
        expect(tf.memory().numTensors).to.equal(before)
      })
    }
  }

  describe('of a small model', () => {
    let model: BaseModel
    let generated: Generated
    before(async () => {
      generated = await readJson('gpt2-long', 'generated.json') as Generated
      model = await BaseModel.load(join(FIXTURES, 'gpt2-long'), async weights => await openEngine(weights, { device: 'cpu' }, () => {}))
    })
    after(async () => { await model.dispose() })

    it('ends with an end token, which it gives too', async () => {
      const end = generated.greedy[9]
      const first = generated.greedy.indexOf(end)
      expect(await all(model.decoder(), generated.prompt, { endTokens: [end, 10 ** 6] })).to.deep.equal(generated.greedy.slice(0, first + 1))
    })

    it('ends where the positions end', async () => {
      expect(await all(model.decoder(), generated.prompt, { maxNewTokens: 1000 })).to.have.lengthOf(64 - generated.prompt.length + 1)
      expect(await all(model.decoder(), Array.from({ length: 64 }, () => 1), { maxNewTokens: 1000 })).to.have.lengthOf(1)
    })

    it('draws the same with the same seed, and only of the likeliest', async () => {
      const drawn = async (options: Partial<GenerateOptions>): Promise<number[]> => await all(model.decoder(), generated.prompt, { temperature: 1, ...options })
      expect(await drawn({ seed: 1 })).to.deep.equal(await drawn({ seed: 1 }))
      expect(await drawn({ seed: 1 })).to.not.deep.equal(await drawn({ seed: 2 }))
      expect(await drawn({ topP: 1e-6 })).to.deep.equal(generated.greedy)
      expect(await drawn({ temperature: 1e-6 })).to.deep.equal(generated.greedy)
    })

    it('is refused where there is nothing to go on from, or too much, or what is no token', async () => {
      for (const prompt of [[], Array.from({ length: 65 }, () => 1), [43], [-1], [0.5]]) {
        expect(await failureOf(all(model.decoder(), prompt)), prompt.join()).to.have.property('name', 'InvalidBatchError')
      }
    })

    it('stops with its signal', async () => {
      expect((await failureOf(all(model.decoder(), generated.prompt, { signal: AbortSignal.abort(new Error('enough')) }))).message).to.equal('enough')
    })
  })

  describe('of a long text', () => {
    const folder = temporaryFolder()

    for (const config of [
      { model_type: 'llama', vocab_size: 17, hidden_size: 12, intermediate_size: 9, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 150 },
      { model_type: 'mistral', vocab_size: 17, hidden_size: 12, intermediate_size: 9, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 150, sliding_window: 5 },
      { model_type: 'gpt2', vocab_size: 17, n_positions: 150, n_embd: 12, n_layer: 1, n_head: 2 }
    ]) {
      it(`remembers what it would make of the whole again: ${config.model_type}`, async () => {
        const path = join(folder(), 'model')
        await writeModel(path, config, seeded(3))
        const model = await BaseModel.load(path, async weights => await openEngine(weights, { device: 'cpu' }, () => {}))
        const ids = Array.from({ length: 150 }, (_, i) => (i * i + i) % 17)
        const [growing, begun] = [model.decoder(), 60]
        let scores = await growing.begin(ids.slice(0, begun))
        for (const [i, id] of ids.slice(begun).entries()) {
          if (i % 30 === 0) expect(relativeError(scores, await model.decoder().begin(ids.slice(0, begun + i)))).to.be.below(1e-5)
          scores = await growing.next(id)
        }
        expect(relativeError(scores, await model.decoder().begin(ids))).to.be.below(1e-5)
        expect(growing.ids).to.deep.equal(ids)
        expect(await failureOf(growing.next(1))).to.have.property('name', 'InvalidBatchError')
        await model.dispose()
      })
    }
  })

  describe('of one text from another', () => {
    const folder = temporaryFolder()
    const length = 100 // of source and target: what is remembered grows twice

    for (const config of [
      { model_type: 'bart', vocab_size: 17, max_position_embeddings: length, d_model: 12, encoder_layers: 1, encoder_attention_heads: 3, encoder_ffn_dim: 7, decoder_layers: 2, decoder_attention_heads: 2, decoder_ffn_dim: 9 },
      { model_type: 't5', vocab_size: 17, d_model: 12, d_kv: 5, d_ff: 9, num_layers: 1, num_decoder_layers: 2, num_heads: 3, relative_attention_num_buckets: 8, relative_attention_max_distance: 20, decoder_start_token_id: 3 }
    ]) {
      it(`gives token by token what a pass gives of all at once: ${config.model_type}`, async () => {
        const path = join(folder(), 'model')
        await writeModel(path, config, seeded(5))
        const model = await BaseModel.load(path, async weights => await openEngine(weights, { device: 'cpu' }, () => {}))
        const [source, labels] = [3, 7].map(factor => Int32Array.from({ length }, (_, i) => (i * i + factor * i) % 17))
        const shape = [1, length]
        const batch = batchOf(new Map([['input_ids', { shape, values: source }], ['attention_mask', { shape, values: new Int32Array(length).fill(1) }], ['labels', { shape, values: labels }]]))
        const [{ logits }] = await model.pass([batch], { sites: [], logits: true })
        const growing = model.decoder()
        const rows = [await growing.begin([...source])]
        for (const id of labels.subarray(0, -1)) rows.push(await growing.next(id))
        expect(relativeError(rows.flatMap(row => [...row]), logits!.values)).to.be.below(1e-5)
        expect(growing.ids.slice(1)).to.deep.equal([...labels.subarray(0, -1)])
        await model.dispose()
      })
    }

    it('ends where the positions end, and is refused where the source is empty, or too long, or no tokens', async () => {
      const model = await BaseModel.load(join(FIXTURES, 'bart'), async weights => await openEngine(weights, { device: 'cpu' }, () => {}))
      expect(await all(model.decoder(), [5], { maxNewTokens: 1000 })).to.have.lengthOf(45)
      for (const source of [[], Array.from({ length: 46 }, () => 1), [47], [-1]]) {
        expect(await failureOf(all(model.decoder(), source)), source.join()).to.have.property('name', 'InvalidBatchError')
      }
      await model.dispose()
    })

    it('is refused of a model that makes no texts', async () => {
      const model = await BaseModel.load(join(FIXTURES, 'vit'), async weights => await openEngine(weights, { device: 'cpu' }, () => {}))
      expect(() => model.decoder()).to.throw().with.property('name', 'InvalidModelError')
      await model.dispose()
    })
  })

  describe('by scores', () => {
    /** The same scores for every token. */
    function of (scores: readonly number[]): Decoder {
      const give = async (): Promise<Float32Array> => await Promise.resolve(Float32Array.from(scores))
      return { begin: give, next: give, ids: [0], positions: 10 ** 6 }
    }

    it('draws each token as often as it is likely, by temperature', async () => {
      const count = 4000
      for (const temperature of [1, 2]) {
        const ids = await all(of([0, 1, 2]), [0], { maxNewTokens: count, temperature })
        const weights = [0, 1, 2].map(score => Math.exp(score / temperature))
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        for (const [id, weight] of weights.entries()) {
          const share = weight / total
          expect(ids.filter(drawn => drawn === id).length / count).to.be.closeTo(share, 5 * Math.sqrt(share * (1 - share) / count))
        }
      }
    })

    it('draws of the fewest that have the probability', async () => {
      const ids = await all(of([Math.log(0.5), Math.log(0.3), Math.log(0.2)]), [0], { maxNewTokens: 500, temperature: 1, topP: 0.7 })
      expect([...new Set(ids)].sort()).to.deep.equal([0, 1])
    })

    it('repeats no sequence', async () => {
      const ids = await all(of([8, 7, 6, 5, 4, 3, 2, 1]), [0], { maxNewTokens: 12, noRepeatNgramSize: 2 })
      const pairs = ids.map((id, i) => [i === 0 ? 0 : ids[i - 1], id].join())
      expect(new Set(pairs).size).to.equal(pairs.length)
      expect(await all(of([3, 2, 1]), [0], { maxNewTokens: 2, noRepeatNgramSize: 1 })).to.deep.equal([1, 2])
    })

    it('gives the tokens that are forced, the first only where one stands before it', async () => {
      const scores = [3, 2, 1, 0]
      expect(await all(of(scores), [0], { maxNewTokens: 3, firstToken: 2, lastToken: 3 })).to.deep.equal([2, 0, 3])
      expect(await all(of(scores), [0], { maxNewTokens: 1, firstToken: 2, lastToken: 3 })).to.deep.equal([3])
      expect(await all(of(scores), [0], { maxNewTokens: 3, firstToken: 0, lastToken: 0, noRepeatNgramSize: 1 })).to.deep.equal([0, 1, 0])
      expect(await all({ ...of(scores), ids: [0, 0] }, [0, 0], { maxNewTokens: 2, firstToken: 2 })).to.deep.equal([0, 0])
    })

    it('is refused where an option makes no sense', async () => {
      for (const options of [{ maxNewTokens: 0 }, { maxNewTokens: 1.5 }, { temperature: -1 }, { temperature: NaN }, { temperature: Infinity }, { topP: 0 }, { topP: 1.1 }, { noRepeatNgramSize: -1 }, { noRepeatNgramSize: 0.5 }]) {
        expect(await failureOf(all(of([1]), [0], options)), JSON.stringify(options)).to.have.property('name', 'InvalidOptionError')
      }
    })
  })
})
