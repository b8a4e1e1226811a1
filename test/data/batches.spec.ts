import { expect } from 'chai'
import { type Batches, BatchSource, heldOutBatches } from '../../src/data/batches.js'
import type { RowSet } from '../../src/data/row-set.js'
import type { EncodedRow } from '../../src/data/rows.js'
import { tokenRows } from '../../src/data/token-rows.js'
import type { Batch } from '../../src/types.js'
import { lengthOf, tensorIn, tokenBatch } from '../support/batch.js'

const END = 999
const OPTIONS = { batchSize: 3, seed: 1 }

/** Rows of two tokens, of which the first is the row's number. */
const rowsOf = (count: number): RowSet => rowsOfLengths(Array.from({ length: count }, () => 2))
/** Rows of so many tokens each, of which the first is the row's number. */
const rowsOfLengths = (lengths: readonly number[]): RowSet => setOf(...lengths.map((length, i) => ({ ids: Int32Array.from({ length }, (_, j) => j === 0 ? i : 0), spans: [{ begin: 0, end: length }] })))
const setOf = (...rows: EncodedRow[]): RowSet => tokenRows(rows, END)

const numbers = (batch: Batch): number[] => [...tensorIn(batch, 'input_ids').values].filter((_, i) => i % lengthOf(batch) === 0)
const steps = async (source: BatchSource, count: number): Promise<Batch[]> => await Promise.all(Array.from({ length: count }, async (_, step) => await source.at(step)))
const take = async (source: BatchSource, count: number): Promise<number[]> => (await steps(source, count)).flatMap(numbers)
const all = async (batches: Batches): Promise<Batch[]> => await Promise.all(Array.from({ length: batches.count }, async (_, batch) => await batches.at(batch)))
const inOrder = (rows: readonly number[]): number[] => [...rows].sort((a, b) => a - b)

describe('data: batches', () => {
  it('pads to the longest row of the batch, and labels neither prompts nor padding', async () => {
    const rows = [{ ids: Int32Array.of(1, 2, 3, 4), spans: [{ begin: 2, end: 4 }] }, { ids: Int32Array.of(5, 6), spans: [{ begin: 0, end: 2 }] }]
    const expected = tokenBatch(2, 4, {
      inputIds: Int32Array.of(1, 2, 3, 4, 5, 6, END, END),
      attentionMask: Int32Array.of(1, 1, 1, 1, 1, 1, 0, 0),
      labels: Int32Array.of(-100, -100, 3, 4, 5, 6, -100, -100)
    })
    expect(await all(heldOutBatches(setOf(...rows), 2))).to.deep.equal([expected])
    const [zeros] = await all(heldOutBatches(tokenRows(rows, undefined), 2))
    expect([...tensorIn(zeros, 'input_ids').values]).to.deep.equal([1, 2, 3, 4, 5, 6, 0, 0])
    const [alone] = await all(heldOutBatches(setOf(...rows.slice(1)), 2))
    expect([alone.rows, lengthOf(alone)]).to.deep.equal([1, 2])
  })

  it('labels every span of a row, and nothing between them', async () => {
    const spans = [{ begin: 1, end: 3 }, { begin: 4, end: 5 }]
    const [batch] = await all(heldOutBatches(setOf({ ids: Int32Array.of(1, 2, 3, 4, 5, 6), spans }), 1))
    expect([...tensorIn(batch, 'labels').values]).to.deep.equal([-100, 2, 3, -100, 5, -100])
  })

  it('resumes from the number of the step', async () => {
    const lengths = [2, 9, 4, 4, 1, 7, 3, 3, 8, 5]
    for (const groupByLength of [false, true]) {
      const source = (): BatchSource => new BatchSource(rowsOfLengths(lengths), { ...OPTIONS, groupByLength })
      const straight = source()
      const batches = await steps(straight, 20)
      for (const step of [19, 0, 7, 3, 12]) {
        expect(await source().at(step)).to.deep.equal(batches[step])
        expect(await straight.at(step)).to.deep.equal(batches[step])
      }
    }
  })

  it('shows every row once an epoch, in an order that epoch and seed decide', async () => {
    const source = new BatchSource(rowsOf(10), OPTIONS)
    expect(source.rowsPerEpoch).to.equal(10)
    const shown = await take(source, 20)
    const epochs = Array.from({ length: 6 }, (_, epoch) => shown.slice(10 * epoch, 10 * epoch + 10))
    for (const epoch of epochs) expect(inOrder(epoch)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(new Set(epochs.map(String)).size).to.equal(6)
    expect(await take(new BatchSource(rowsOf(10), { ...OPTIONS, seed: 2 }), 20)).to.not.deep.equal(shown)
  })

  it('keeps its order from version to version', async () => {
    // worked out apart, in Python; whoever changes it breaks the resuming of jobs that run
    const expected = [0, 5, 7, 1, 3, 4, 6, 2, 2, 3, 5, 7, 4, 0, 1, 6]
    expect(await take(new BatchSource(rowsOf(8), { ...OPTIONS, batchSize: 8, seed: 7 }), 2)).to.deep.equal(expected)
  })

  it('puts every row at every place about as often', async () => {
    const counts = new Array<number>(25).fill(0)
    const source = new BatchSource(rowsOf(5), { ...OPTIONS, batchSize: 5 })
    for (let step = 0; step < 5000; step++) {
      for (const [place, row] of numbers(await source.at(step)).entries()) counts[place * 5 + row]++
    }
    for (const count of counts) expect(count).to.be.within(850, 1150) // 1000 ± 5 standard deviations
  })

  it('repeats rows where a batch has more than there are', async () => {
    for (const groupByLength of [false, true]) {
      const source = new BatchSource(rowsOf(2), { ...OPTIONS, batchSize: 5, groupByLength })
      const batch = await source.at(0)
      expect(batch.rows).to.equal(5)
      expect(new Set(numbers(batch))).to.deep.equal(new Set([0, 1]))
      expect(numbers(await new BatchSource(rowsOf(1), { ...OPTIONS, groupByLength }).at(4))).to.deep.equal([0, 0, 0])
    }
  })

  describe('of rows of about the same length', () => {
    /** Lengths from 1 to 40, none of them rare. */
    const lengths = Array.from({ length: 400 }, (_, i) => 1 + (i * 17) % 40)
    const grouped = (batchSize: number, rows = lengths): BatchSource => new BatchSource(rowsOfLengths(rows), { batchSize, seed: 1, groupByLength: true })
    const padding = (batch: Batch): number => tensorIn(batch, 'attention_mask').values.filter(seen => seen === 0).length

    it('show every row once an epoch, in another order each time', async () => {
      for (const [count, batchSize] of [[10, 3], [10, 1], [9, 3], [2, 5], [1, 1], [7, 6], [333, 4]]) {
        const rows = lengths.slice(0, count)
        const epochs = 4
        const shown = await take(grouped(batchSize, rows), Math.ceil(epochs * count / batchSize))
        const orders = Array.from({ length: epochs }, (_, epoch) => shown.slice(epoch * count, (epoch + 1) * count))
        for (const order of orders) expect(inOrder(order), `${count} rows in batches of ${batchSize}`).to.deep.equal([...rows.keys()])
        if (count > 9) expect(new Set(orders.map(String)).size).to.equal(epochs)
      }
    })

    it('are filled up less, in every epoch, also where batches run over from one into the next', async () => {
      for (const [count, batchSize] of [[400, 8], [399, 8], [397, 10]]) {
        const rows = lengths.slice(0, count)
        const plain = new BatchSource(rowsOfLengths(rows), { batchSize, seed: 1 })
        const source = grouped(batchSize, rows)
        const perEpoch = Math.floor(count / batchSize)
        for (const epoch of [0, 1, 2, 3]) {
          let [ours, others] = [0, 0]
          for (let step = epoch * perEpoch; step < (epoch + 1) * perEpoch; step++) {
            ours += padding(await source.at(step))
            others += padding(await plain.at(step))
          }
          expect(ours, `${count} rows, epoch ${epoch}`).to.be.below(others / 4)
        }
      }
    })

    it('do not come shortest or longest first', async () => {
      const longest = (await steps(grouped(8), 50)).map(lengthOf)
      expect(longest).to.not.deep.equal(inOrder(longest))
      expect(longest).to.not.deep.equal(inOrder(longest).reverse())
    })

    it('are the same batches for the same seed, and others for another', async () => {
      const shown = await take(grouped(8), 60)
      expect(await take(grouped(8), 60)).to.deep.equal(shown)
      expect(await take(new BatchSource(rowsOfLengths(lengths), { batchSize: 8, seed: 2, groupByLength: true }), 60)).to.not.deep.equal(shown)
    })
  })

  it('evaluates in order, with a smaller batch at the end', async () => {
    const batches = await all(heldOutBatches(rowsOf(7), 3))
    expect(batches.map(numbers)).to.deep.equal([[0, 1, 2], [3, 4, 5], [6]])
    expect(await all(heldOutBatches(setOf(), 3))).to.deep.equal([])
  })

  it('evaluates evenly spaced rows where there are too many', async () => {
    expect((await all(heldOutBatches(rowsOf(10), 3, { maxRows: 5 }))).map(numbers)).to.deep.equal([[0, 2, 4], [6, 8]])
    expect((await all(heldOutBatches(rowsOf(4), 3, { maxRows: 9 }))).map(numbers)).to.deep.equal([[0, 1, 2], [3]])
  })

  it('refuses batches of no rows, and no rows to make batches of', () => {
    for (const batchSize of [0, -1, 1.5, NaN]) {
      expect(() => new BatchSource(rowsOf(1), { ...OPTIONS, batchSize })).to.throw().with.property('name', 'InvalidOptionError')
      expect(() => heldOutBatches(rowsOf(1), batchSize)).to.throw().with.property('name', 'InvalidOptionError')
    }
    expect(() => new BatchSource(setOf(), OPTIONS)).to.throw().with.property('name', 'InvalidDataError')
  })
})
