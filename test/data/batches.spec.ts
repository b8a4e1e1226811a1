import { expect } from 'chai'
import { BatchSource, heldOutBatches } from '../../src/data/batches.js'
import type { EncodedRow } from '../../src/data/rows.js'
import type { Batch } from '../../src/types.js'
import { lengthOf, tensorIn, tokenBatch } from '../support/batch.js'

const END = 999
const OPTIONS = { batchSize: 3, seed: 1, endOfText: END }

/** Rows of two tokens, of which the first is the row's number. */
const rowsOf = (count: number): EncodedRow[] => Array.from({ length: count }, (_, i) => ({ ids: Int32Array.of(i, 0), spans: [{ begin: 0, end: 2 }] }))
const numbers = (batch: Batch): number[] => [...tensorIn(batch, 'input_ids').values].filter((_, i) => i % lengthOf(batch) === 0)
const take = (source: BatchSource, steps: number): number[] => Array.from({ length: steps }, (_, step) => numbers(source.at(step))).flat()

describe('data: batches', () => {
  it('pads to the longest row of the batch, and labels neither prompts nor padding', () => {
    const rows = [{ ids: Int32Array.of(1, 2, 3, 4), spans: [{ begin: 2, end: 4 }] }, { ids: Int32Array.of(5, 6), spans: [{ begin: 0, end: 2 }] }]
    const expected = tokenBatch(2, 4, {
      inputIds: Int32Array.of(1, 2, 3, 4, 5, 6, END, END),
      attentionMask: Int32Array.of(1, 1, 1, 1, 1, 1, 0, 0),
      labels: Int32Array.of(-100, -100, 3, 4, 5, 6, -100, -100)
    })
    expect(heldOutBatches(rows, 2, OPTIONS)).to.deep.equal([expected])
    const [zeros] = heldOutBatches(rows, 2, { endOfText: undefined })
    expect([...tensorIn(zeros, 'input_ids').values]).to.deep.equal([1, 2, 3, 4, 5, 6, 0, 0])
    const [alone] = heldOutBatches(rows.slice(1), 2, OPTIONS)
    expect([alone.rows, lengthOf(alone)]).to.deep.equal([1, 2])
  })

  it('labels every span of a row, and nothing between them', () => {
    const spans = [{ begin: 1, end: 3 }, { begin: 4, end: 5 }]
    const [batch] = heldOutBatches([{ ids: Int32Array.of(1, 2, 3, 4, 5, 6), spans }], 1, OPTIONS)
    expect([...tensorIn(batch, 'labels').values]).to.deep.equal([-100, 2, 3, -100, 5, -100])
  })

  it('resumes from the number of the step', () => {
    const straight = new BatchSource(rowsOf(10), OPTIONS)
    const batches = Array.from({ length: 20 }, (_, step) => straight.at(step))
    for (const step of [19, 0, 7, 3, 12]) {
      expect(new BatchSource(rowsOf(10), OPTIONS).at(step)).to.deep.equal(batches[step])
      expect(straight.at(step)).to.deep.equal(batches[step])
    }
  })

  it('shows every row once an epoch, in an order that epoch and seed decide', () => {
    const source = new BatchSource(rowsOf(10), OPTIONS)
    expect(source.rowsPerEpoch).to.equal(10)
    const shown = take(source, 20)
    const epochs = Array.from({ length: 6 }, (_, epoch) => shown.slice(10 * epoch, 10 * epoch + 10))
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(new Set(epochs.map(String)).size).to.equal(6)
    expect(take(new BatchSource(rowsOf(10), { ...OPTIONS, seed: 2 }), 20)).to.not.deep.equal(shown)
  })

  it('keeps its order from version to version', () => {
    // worked out apart, in Python; whoever changes it breaks the resuming of jobs that run
    const expected = [0, 5, 7, 1, 3, 4, 6, 2, 2, 3, 5, 7, 4, 0, 1, 6]
    expect(take(new BatchSource(rowsOf(8), { ...OPTIONS, batchSize: 8, seed: 7 }), 2)).to.deep.equal(expected)
  })

  it('puts every row at every place about as often', () => {
    const counts = new Array<number>(25).fill(0)
    const source = new BatchSource(rowsOf(5), { ...OPTIONS, batchSize: 5 })
    for (let step = 0; step < 5000; step++) {
      for (const [place, row] of numbers(source.at(step)).entries()) counts[place * 5 + row]++
    }
    for (const count of counts) expect(count).to.be.within(850, 1150) // 1000 ± 5 standard deviations
  })

  it('repeats rows where a batch has more than there are', () => {
    const source = new BatchSource(rowsOf(2), { ...OPTIONS, batchSize: 5 })
    const batch = source.at(0)
    expect(batch.rows).to.equal(5)
    expect(new Set(numbers(batch))).to.deep.equal(new Set([0, 1]))
    expect(numbers(new BatchSource(rowsOf(1), OPTIONS).at(4))).to.deep.equal([0, 0, 0])
  })

  it('evaluates in order, with a smaller batch at the end', () => {
    const batches = heldOutBatches(rowsOf(7), 3, OPTIONS)
    expect(batches.map(numbers)).to.deep.equal([[0, 1, 2], [3, 4, 5], [6]])
    expect(heldOutBatches([], 3, OPTIONS)).to.deep.equal([])
  })

  it('evaluates evenly spaced rows where there are too many', () => {
    expect(heldOutBatches(rowsOf(10), 3, { ...OPTIONS, maxRows: 5 }).map(numbers)).to.deep.equal([[0, 2, 4], [6, 8]])
    expect(heldOutBatches(rowsOf(4), 3, { ...OPTIONS, maxRows: 9 }).map(numbers)).to.deep.equal([[0, 1, 2], [3]])
  })

  it('refuses batches of no rows, and no rows to make batches of', () => {
    for (const batchSize of [0, -1, 1.5, NaN]) {
      expect(() => new BatchSource(rowsOf(1), { ...OPTIONS, batchSize })).to.throw().with.property('name', 'InvalidOptionError')
      expect(() => heldOutBatches(rowsOf(1), batchSize, OPTIONS)).to.throw().with.property('name', 'InvalidOptionError')
    }
    expect(() => new BatchSource([], OPTIONS)).to.throw().with.property('name', 'InvalidDataError')
  })
})
