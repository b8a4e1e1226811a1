import { expect } from 'chai'
import { PoissonSource, type PoissonSourceOptions } from '../../src/data/poisson-batches.js'
import type { RowSet } from '../../src/data/row-set.js'
import { tokenRows } from '../../src/data/token-rows.js'
import { SECRET_BYTES } from '../../src/tensor/secret-stream.js'
import { lengthOf, tensorIn } from '../support/batch.js'

const SECRET = new Uint8Array(SECRET_BYTES).fill(1)

/** Rows of two tokens, of which the first is the row's number. */
const rowsOf = (count: number): RowSet => tokenRows(Array.from({ length: count }, (_, i) => ({ ids: Int32Array.of(i, 0), spans: [{ begin: 0, end: 2 }] })), 0)

function source (count: number, options: Partial<PoissonSourceOptions> = {}): PoissonSource {
  return new PoissonSource(rowsOf(count), { batchSize: 4, interval: 1, secret: SECRET, ...options })
}

/** The rows of a batch. */
async function drawn (from: PoissonSource, step: number): Promise<number[]> {
  const batch = await from.at(step)
  return batch === undefined ? [] : [...tensorIn(batch, 'input_ids').values].filter((_, i) => i % lengthOf(batch) === 0)
}

async function all (from: PoissonSource, steps: number): Promise<number[][]> {
  return await Promise.all(Array.from({ length: steps }, async (_, step) => await drawn(from, step)))
}

describe('data: batches that are drawn', () => {
  it('take each row as often, two rows independently, and vary in size', async () => {
    const steps = 4000
    const batches = await all(source(20), steps)
    for (let row = 0; row < 20; row++) {
      expect(batches.filter(rows => rows.includes(row)).length, `row ${row}`).to.be.within(674, 926) // 800 ± 5 standard deviations
      const both = batches.filter(rows => rows.includes(row) && rows.includes((row + 1) % 20)).length
      expect(both, `rows ${row} and the next`).to.be.within(98, 222) // 160 ± 5
    }
    expect(new Set(batches.map(({ length }) => length)).size).to.be.above(8)
  })

  it('take each row at most once in an interval, with as many times the probability', async () => {
    const interval = 3
    const batches = await all(source(20, { interval }), 3 * 1000)
    const intervals = Array.from({ length: 1000 }, (_, i) => batches.slice(interval * i, interval * (i + 1)).flat())
    for (const rows of intervals) expect(new Set(rows).size).to.equal(rows.length)
    for (let row = 0; row < 20; row++) {
      expect(intervals.filter(rows => rows.includes(row)).length).to.be.within(522, 678) // 600 ± 5 standard deviations
      for (const part of [0, 1, 2]) expect(batches.filter((rows, step) => step % interval === part && rows.includes(row)).length).to.be.within(136, 264) // 200 ± 5
    }
  })

  it('are those of the secret and the step alone', async () => {
    for (const interval of [1, 4]) {
      const batches = await all(source(20, { interval }), 30)
      for (const step of [29, 0, 7, 13]) expect(await drawn(source(20, { interval }), step)).to.deep.equal(batches[step])
      expect(await all(source(20, { interval, secret: SECRET.with(0, 2) }), 30)).to.not.deep.equal(batches)
    }
  })

  it('take all rows where that is how many are wanted, and may take none', async () => {
    expect(await drawn(source(12, { interval: 3 }), 0)).to.have.lengthOf.below(12)
    expect((await all(source(12, { interval: 3 }), 3)).flat()).to.have.members([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    const few = source(3, { batchSize: 1 })
    const empty = (await all(few, 100)).findIndex(({ length }) => length === 0)
    expect(empty).to.be.above(-1)
    expect(await few.at(empty)).to.equal(undefined)
  })

  it('cannot take more rows than there are', () => {
    expect(() => source(3)).to.throw('from 3 rows').with.property('name', 'InvalidOptionError')
    expect(() => source(7, { interval: 2 })).to.throw('--interval').with.property('name', 'InvalidOptionError')
    expect(() => source(0)).to.throw().with.property('name', 'InvalidDataError')
    expect(() => source(8, { interval: 2 })).to.not.throw()
  })
})
