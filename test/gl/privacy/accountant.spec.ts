import { expect } from 'chai'
import { epsilonOf, type PrivateSteps, renyiDivergence } from '../../../src/gl/privacy/accountant.js'
import { logErfc } from '../../../src/gl/privacy/log-erfc.js'
import { noiseMultiplierFor } from '../../../src/gl/privacy/noise-multiplier.js'
import { readJson } from '../../support/fixtures.js'

interface Accounted extends PrivateSteps {
  readonly delta: number
  readonly epsilon: number
}

interface Published extends Accounted {
  readonly source: string
  readonly conversion: 'canonne' | 'mironov'
}

interface Divergence extends Omit<PrivateSteps, 'steps'> {
  readonly order: number
  readonly divergence: number
}

const STEPS: PrivateSteps = { noiseMultiplier: 1.1, sampleRate: 0.02, steps: 1000 }
const DELTA = 1e-5

/** With the conversion of Mironov (2017, arXiv 1702.07476, proposition 3), which numbers from before 2020 have. */
function epsilonOfMironov ({ steps, ...step }: PrivateSteps, delta: number): number {
  const orders = Array.from({ length: 620 }, (_, i) => 1.1 + i / 10)
  return Math.min(...orders.map(order => steps * renyiDivergence(order, step) - Math.log(delta) / (order - 1)))
}

describe('gl: the accountant of privacy', () => {
  it('gives the ε that others have published, within 1 %', async () => {
    const cases = await readJson('privacy', 'published.json') as Published[]
    expect(cases).to.have.lengthOf.above(10)
    for (const { source, conversion, delta, epsilon, ...steps } of cases) {
      const own = conversion === 'canonne' ? epsilonOf(steps, delta) : epsilonOfMironov(steps, delta)
      expect(own, source).to.be.within(0.99 * epsilon, 1.01 * epsilon)
    }
  })

  it('gives the ε that numerical integration gives over all orders, within 1 %', async () => {
    for (const { delta, epsilon, ...steps } of await readJson('privacy', 'epsilons.json') as Accounted[]) {
      expect(epsilonOf(steps, delta), JSON.stringify(steps)).to.be.within(0.9999 * epsilon, 1.01 * epsilon)
    }
  })

  it('gives the Rényi divergence that numerical integration gives, of whole orders and others', async () => {
    for (const { order, divergence, ...step } of await readJson('privacy', 'divergences.json') as Divergence[]) {
      expect(renyiDivergence(order, step), JSON.stringify({ ...step, order })).to.be.closeTo(divergence, 1e-6 * divergence)
    }
  })

  it('has the logarithm of erfc to the last digits, near and far', async () => {
    for (const { x, log } of await readJson('privacy', 'log-erfc.json') as Array<{ x: number, log: number }>) {
      expect(logErfc(x), String(x)).to.be.closeTo(log, 1e-13 * Math.abs(log))
    }
  })

  it('joins whole orders and others, and drawing all rows and almost all', () => {
    for (const [order, sampleRate, noiseMultiplier] of [[2, 0.01, 1], [3, 0.3, 0.8], [10, 0.5, 2], [7, 0.999, 1.3]]) {
      const step = { sampleRate, noiseMultiplier }
      const whole = renyiDivergence(order, step)
      expect(renyiDivergence(order + 1e-7, step)).to.be.closeTo(whole, 1e-5 * whole)
    }
    expect(renyiDivergence(4.5, { sampleRate: 1 - 1e-9, noiseMultiplier: 2 })).to.be.closeTo(renyiDivergence(4.5, { sampleRate: 1, noiseMultiplier: 2 }), 1e-6)
  })

  it('counts more for more steps, more rows, less noise and a smaller δ, and nothing for no steps', () => {
    const epsilon = epsilonOf(STEPS, DELTA)
    expect(epsilonOf({ ...STEPS, steps: 0 }, DELTA)).to.equal(0)
    expect(epsilonOf({ ...STEPS, steps: 1001 }, DELTA)).to.be.above(epsilon)
    expect(epsilonOf({ ...STEPS, sampleRate: 0.021 }, DELTA)).to.be.above(epsilon)
    expect(epsilonOf({ ...STEPS, noiseMultiplier: 1.09 }, DELTA)).to.be.above(epsilon)
    expect(epsilonOf(STEPS, DELTA / 2)).to.be.above(epsilon)
  })

  it('is finite and not negative at the edges', () => {
    for (const noiseMultiplier of [0.01, 0.3, 1, 30, 1000]) {
      for (const sampleRate of [1e-7, 1e-3, 0.4, 0.5, 0.6, 0.999999, 1]) {
        const epsilon = epsilonOf({ noiseMultiplier, sampleRate, steps: 100 }, DELTA)
        expect(epsilon, `${noiseMultiplier}, ${sampleRate}`).to.be.within(0, 1e7)
      }
    }
  })

  it('finds the noise for a wanted ε: enough, and hardly more', () => {
    for (const epsilon of [0.05, 1, 1000]) {
      const noiseMultiplier = noiseMultiplierFor({ ...STEPS, epsilon, delta: DELTA })
      expect(epsilonOf({ ...STEPS, noiseMultiplier }, DELTA)).to.be.within(0.9 * epsilon, epsilon)
      expect(epsilonOf({ ...STEPS, noiseMultiplier: noiseMultiplier * 0.999 }, DELTA)).to.be.above(epsilon)
    }
  })

  it('finds the noise that Opacus finds', () => {
    // opacus/tests/accountants_test.py, test_get_noise_multiplier, at 2f4b54640c031948c4264d56b6f101baf5676490; it stops 0.01 above the least, or nearer
    expect(noiseMultiplierFor({ epsilon: 8, delta: 1e-5, sampleRate: 0.04, steps: 2250 })).to.be.within(1.425307617 - 0.01, 1.425307617)
  })

  it('says so where no noise is enough', () => {
    expect(() => noiseMultiplierFor({ ...STEPS, epsilon: 1e-5, delta: DELTA })).to.throw('use a greater ε').with.property('name', 'InvalidOptionError')
  })
})
