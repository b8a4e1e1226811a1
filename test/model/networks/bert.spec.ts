import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { EagerEngine } from '../../../src/engine/eager-engine.js'
import { BaseModel, describeModel } from '../../../src/model/base-model.js'
import { batchOf } from '../../../src/tensor/batch.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../../../src/tensor/safetensors.js'
import type { Batch, TensorData } from '../../../src/types.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'
import { failureOf } from '../../support/failure.js'
import { temporaryFolder } from '../../support/temporary-folder.js'
import { type OtherConfig, writeModel } from '../random-model.js'

const PADDING = 5

const SMALL = { vocab_size: 23, hidden_size: 12, intermediate_size: 15, num_hidden_layers: 2, num_attention_heads: 3, max_position_embeddings: 14, num_labels: 3 }
const BERT = { model_type: 'bert', ...SMALL }
const ROBERTA = { model_type: 'roberta', ...SMALL, pad_token_id: PADDING }

/** One row, whose tokens of padding are not looked at. */
function rowOf (ids: readonly number[], kinds?: readonly number[]): Batch {
  const tensor = (values: readonly number[]): TensorData => ({ shape: [1, ids.length], values: Int32Array.from(values) })
  return batchOf(new Map([
    ['input_ids', tensor(ids)],
    ['attention_mask', tensor(ids.map(id => id === PADDING ? 0 : 1))],
    ['labels', { shape: [1], values: Int32Array.of(1) }],
    ...(kinds === undefined ? [] : [['token_type_ids', tensor(kinds)]] as const)
  ]))
}

describe('a classifier of texts, BERT or RoBERTa', () => {
  const folder = temporaryFolder()
  let path: string
  beforeEach(() => { path = join(folder(), 'model') })

  async function open (config: OtherConfig): Promise<BaseModel> {
    await writeModel(path, config, seeded(1))
    return await BaseModel.load(path, async weights => await EagerEngine.open(weights))
  }

  async function logitsOf (model: BaseModel, batch: Batch): Promise<Float32Array> {
    const before = tf.memory().numTensors
    const [{ logits }] = await model.pass([batch], { sites: [], logits: true })
    expect(tf.memory().numTensors).to.equal(before)
    expect(logits?.shape).to.deep.equal([1, 3])
    return logits!.values
  }

  for (const config of [BERT, ROBERTA]) {
    it(`says the same of a text whatever comes after it as padding, ${config.model_type}`, async () => {
      const model = await open(config)
      const expected = await logitsOf(model, rowOf([7, 3, 11, 3]))
      for (const padding of [[PADDING], Array.from({ length: 4 }, () => PADDING)]) {
        expect(relativeError(await logitsOf(model, rowOf([7, 3, 11, 3, ...padding])), expected)).to.be.below(1e-5)
      }
      await model.dispose()
    })
  }

  it('counts its places, or as RoBERTa only the tokens that are no padding', async () => {
    for (const [config, same] of [[BERT, false], [ROBERTA, true]] as const) {
      const model = await open(config)
      const [between, without] = [await logitsOf(model, rowOf([7, PADDING, PADDING, 3, 11, 3])), await logitsOf(model, rowOf([7, 3, 11, 3]))]
      expect(relativeError(between, without) < 1e-5, config.model_type).to.equal(same)
      await model.dispose()
    }
  })

  it('has as many positions as there are numbers for', async () => {
    for (const [config, positions] of [[BERT, 14], [ROBERTA, 8]] as const) {
      const model = await open(config)
      const row = (length: number): Batch => rowOf(Array.from({ length }, () => 7))
      expect(model.info.positions).to.equal(positions)
      expect(await logitsOf(model, row(positions))).to.have.lengthOf(3)
      expect((await failureOf(model.pass([row(positions + 1)], { sites: [] }))).name).to.equal('InvalidBatchError')
      await model.dispose()
    }
  })

  it('tells kinds of tokens apart, and refuses one that it has no numbers for', async () => {
    const ids = [7, 3, 11, 3]
    const model = await open(BERT)
    const plain = await logitsOf(model, rowOf(ids))
    expect(await logitsOf(model, rowOf(ids, [0, 0, 0, 0]))).to.deep.equal(plain)
    expect(relativeError(await logitsOf(model, rowOf(ids, [0, 0, 1, 1])), plain)).to.be.above(1e-4)
    await model.dispose()
    const single = await open({ ...BERT, type_vocab_size: 1 })
    expect(await logitsOf(single, rowOf(ids, [0, 0, 0, 0]))).to.have.lengthOf(3)
    const { name, message } = await failureOf(single.pass([rowOf(ids, [0, 0, 1, 0])], { sites: [] }))
    expect(name).to.equal('InvalidBatchError')
    expect(message).to.include('token_type_ids: 1 in row 0 at position 2')
    await single.dispose()
  })

  it('takes the names that old files have', async () => {
    for (const config of [BERT, ROBERTA]) {
      await writeModel(path, config, seeded(1))
      const file = join(path, 'model.safetensors')
      const { id } = await describeModel(path)
      const { tensors } = decodeSafetensors(await readFile(file))
      const former = new Map([...tensors.keys()].map(name => [
        name.replace(`${config.model_type}.`, '').replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'),
        floatTensor(tensors, name)
      ]))
      expect([...former.keys()]).to.include.members(['embeddings.LayerNorm.gamma', 'encoder.layer.1.output.LayerNorm.beta'])
      await writeFile(file, encodeSafetensors(new Map<string, TensorData>([...former, ['embeddings.position_ids', { shape: [1, 2], values: Int32Array.of(0, 1) }]])))
      expect((await describeModel(path)).id).to.equal(id)
    }
  })
})
