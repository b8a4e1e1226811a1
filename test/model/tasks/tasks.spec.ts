import { join } from 'node:path'
import { expect } from 'chai'
import { describeModel, type ModelInfo } from '../../../src/model/base-model.js'
import { checkBatch, countedIn } from '../../../src/model/tasks/tasks.js'
import { batchOf } from '../../../src/tensor/batch.js'
import type { Batch, TensorData } from '../../../src/types.js'
import { FIXTURES, readBatch } from '../../support/fixtures.js'

type Change = (tensor: TensorData) => TensorData | undefined

const reshaped = (...shape: number[]): Change => ({ values }) => ({ shape, values })
const filled = (value: number): Change => ({ shape, values }) => ({ shape, values: values.map((own, i) => i === 1 ? value : own) as typeof values })
const floats: Change = ({ shape, values }) => ({ shape, values: Float32Array.from(values) })
const integers: Change = ({ shape, values }) => ({ shape, values: Int32Array.from(values) })
const absent: Change = () => undefined

/** What is wrong with one tensor of a model's batch, and what the refusal names. */
const REFUSED: Readonly<Record<string, ReadonlyArray<readonly [what: string, tensor: string, change: Change, said: string]>>> = {
  'gpt2-odd': [
    ['no tokens', 'input_ids', absent, 'input_ids'],
    ['a token that is not there', 'input_ids', filled(61), '61'],
    ['a token below zero', 'input_ids', filled(-1), '-1'],
    ['tokens that are floats', 'input_ids', floats, 'integers'],
    ['a mask of 2', 'attention_mask', filled(2), 'attention_mask'],
    ['a label that is not there', 'labels', filled(61), 'row 0 at position 1'],
    ['labels of another shape', 'labels', reshaped(4, 6, 2), 'same shape'],
    ['a row too many', 'labels', reshaped(6, 8), 'rows'],
    ['fewer values than the shape says', 'input_ids', reshaped(4, 13), '48']
  ],
  'bert-odd': [
    ['a class that is not there', 'labels', filled(5), 'row 1'],
    ['labels for each token', 'labels', reshaped(4, 1), 'one label a row'],
    ['classes that are floats', 'labels', floats, 'integers'],
    ['a kind of token that is not there', 'token_type_ids', filled(2), 'token_type_ids'],
    ['kinds of tokens of another shape', 'token_type_ids', reshaped(4, 5, 2), 'same shape']
  ],
  'bert-regression': [['a number that is not finite', 'labels', filled(NaN), 'finite']],
  t5: [
    ['a label that is not there', 'labels', filled(10_000), 'labels'],
    ['labels that are classes', 'labels', ({ shape: [rows], values }) => ({ shape: [rows], values: values.slice(0, rows) as typeof values }), '[rows, target]']
  ],
  vit: [
    ['images of another size', 'pixel_values', ({ shape: [rows, channels, height, width], values }) => ({ shape: [rows, channels, width, height], values }), '3, 12, 8'],
    ['pixels that are integers', 'pixel_values', integers, 'floats'],
    ['a pixel that is not finite', 'pixel_values', filled(Infinity), 'finite'],
    ['no labels', 'labels', absent, 'labels']
  ]
}

describe('what a batch is for a task', () => {
  for (const [name, cases] of Object.entries(REFUSED)) {
    describe(name, () => {
      let info: ModelInfo
      let batch: Batch

      before(async () => {
        info = await describeModel(join(FIXTURES, name))
        batch = await readBatch(name)
      })

      it('takes the one of the golden case', () => {
        checkBatch(batch, info)
        expect(countedIn(batch, info)).to.be.above(0)
      })

      for (const [what, tensor, change, said] of cases) {
        it(`refuses ${what}`, () => {
          const changed = [...batch.tensors].flatMap(([key, own]) => {
            const other = key === tensor ? change(own) : own
            return other === undefined ? [] : [[key, other] as const]
          })
          expect(() => checkBatch(batchOf(new Map(changed)), info)).to.throw(said).with.property('name', 'InvalidBatchError')
        })
      }

      it('refuses a tensor that nobody asked for, and no rows', () => {
        const [[, other]] = batch.tensors
        expect(() => checkBatch(batchOf(new Map([...batch.tensors, ['surprise', other]])), info)).to.throw('surprise').with.property('name', 'InvalidBatchError')
        const none = new Map([...batch.tensors].map(([key, { shape: [, ...rest], values }]) => [key, { shape: [0, ...rest], values: values.slice(0, 0) }]))
        expect(() => checkBatch(batchOf(none), info)).to.throw().with.property('name', 'InvalidBatchError')
      })
    })
  }

  it('counts what is predicted: tokens that follow others, tokens of the target, or rows', () => {
    const ids = (...values: number[]): TensorData => ({ shape: [2, values.length / 2], values: Int32Array.from(values) })
    const labels = (...values: number[]): TensorData => ({ shape: [values.length], values: Int32Array.from(values) })
    const causal = batchOf(new Map([['labels', ids(1, 2, -100, 4, -100, 6)]]))
    expect(countedIn(causal, { task: 'CAUSAL_LM', labels: [] })).to.equal(2)
    expect(countedIn(causal, { task: 'SEQ_2_SEQ_LM', labels: [] })).to.equal(4)
    const rows = batchOf(new Map([['labels', labels(0, -100, 1)]]))
    expect(countedIn(rows, { task: 'SEQ_CLS', labels: ['no', 'yes'] })).to.equal(2)
    expect(countedIn(rows, { task: 'IMAGE_CLS', labels: ['no', 'yes'] })).to.equal(2)
    expect(countedIn(rows, { task: 'SEQ_CLS', labels: [] })).to.equal(3) // -100 is a number there
  })
})
