import { expect } from 'chai'
import { createSchedule, type ScheduleOptions, SCHEDULES } from '../../src/gl/schedule.js'

/** What transformers multiplies the rate by, at `step` of `total` with `warmup` steps: its optimization.py. */
const TRANSFORMERS: Record<ScheduleOptions['kind'], (step: number, warmup: number, total: number) => number> = {
  linear: (step, warmup, total) => step < warmup ? step / Math.max(1, warmup) : Math.max(0, (total - step) / Math.max(1, total - warmup)),
  cosine: (step, warmup, total) => step < warmup
    ? step / Math.max(1, warmup)
    : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * 0.5 * 2 * ((step - warmup) / Math.max(1, total - warmup))))),
  constant: (step, warmup) => step < warmup ? step / Math.max(1, warmup) : 1
}

/** Printed by transformers for a rate of 0.5, ten steps, three of them warm-up. */
const PRINTED: Record<ScheduleOptions['kind'], readonly number[]> = {
  linear: [0, 0.16666666666666666, 0.3333333333333333, 0.5, 0.42857142857142855, 0.35714285714285715, 0.2857142857142857, 0.21428571428571427, 0.14285714285714285, 0.07142857142857142],
  cosine: [0, 0.16666666666666666, 0.3333333333333333, 0.5, 0.47524221697560476, 0.4058724504646834, 0.3056302334890786, 0.19436976651092142, 0.09412754953531663, 0.02475778302439524],
  constant: [0, 0.16666666666666666, 0.3333333333333333, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
}

const steps = (count: number): number[] => Array.from({ length: count }, (_, step) => step)

function expectClose (actual: readonly number[], expected: readonly number[]): void {
  expect(actual).to.have.lengthOf(expected.length)
  for (const [i, rate] of expected.entries()) expect(actual[i], `fit ${i}`).to.be.closeTo(rate, 1e-12)
}

describe('gl: schedules', () => {
  for (const kind of SCHEDULES) {
    it(`gives the rates that transformers prints, ${kind}`, () => {
      expectClose(steps(10).map(createSchedule({ kind, rate: 0.5, fits: 10, warmup: 0.25 })), PRINTED[kind])
    })

    it(`gives transformers' rates for any number of fits and any warm-up, ${kind}`, () => {
      for (const fits of [1, 2, 3, 7, 100]) {
        for (const warmup of [0, 0.01, 0.05, 1 / 3, 0.5, 0.99, 1]) {
          const schedule = createSchedule({ kind, rate: 3e-4, fits, warmup })
          expectClose(steps(fits).map(schedule), steps(fits).map(step => 3e-4 * TRANSFORMERS[kind](step, Math.ceil(fits * warmup), fits)))
        }
      }
    })

    it(`never goes above the rate nor below 0, also after the last fit, ${kind}`, () => {
      for (const fits of [1, 5, 40]) {
        const rates = steps(3 * fits).map(createSchedule({ kind, rate: 2, fits }))
        expect(Math.max(...rates)).to.be.at.most(2)
        expect(Math.min(...rates)).to.be.at.least(0)
      }
    })
  }

  it('warms up for a twentieth of a linear schedule where nothing is said, and not at all in the others', () => {
    const first = (kind: ScheduleOptions['kind']): number[] => steps(4).map(createSchedule({ kind, rate: 1, fits: 41 }))
    expect(first('linear').slice(0, 3)).to.deep.equal([0, 1 / 3, 2 / 3])
    expect(first('linear')[3]).to.equal(1)
    expect(first('cosine')[0]).to.equal(1)
    expect(first('constant')).to.deep.equal([1, 1, 1, 1])
  })

  it('ends at 0 when it falls', () => {
    for (const kind of ['linear', 'cosine'] as const) {
      const schedule = createSchedule({ kind, rate: 1, fits: 20 })
      for (const fit of [20, 21, 1000]) expect(schedule(fit)).to.equal(0)
    }
  })

  it('refuses rates, numbers of fits and warm-ups that are not possible', () => {
    const right: ScheduleOptions = { kind: 'linear', rate: 1, fits: 10, warmup: 0.1 }
    createSchedule(right)
    const wrong = [
      ...[0, -1, NaN, Infinity].map(rate => ({ rate })),
      ...[0, -1, 1.5, NaN, Infinity, 2 ** 53].map(fits => ({ fits })),
      ...[-0.1, 1.1, NaN, Infinity].map(warmup => ({ warmup }))
    ]
    for (const option of wrong) {
      expect(() => createSchedule({ ...right, ...option }), JSON.stringify(option)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
