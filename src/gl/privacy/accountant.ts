import { logErfc } from './log-erfc.js'

/** Steps of the Gaussian mechanism, each on rows that were drawn for it alone, every row by itself with the same probability. */
export interface PrivateSteps {
  /** Deviation of the noise, as a multiple of the most that one row can move what it is added to. Above 0. */
  readonly noiseMultiplier: number
  /** Probability with which a step takes a row; above 0, at most 1. */
  readonly sampleRate: number
  readonly steps: number
}

/**
 * Orders of the Rényi divergence, of which the best counts: tenths up to 11, where it lies most often, and then whole numbers,
 * each at most a 25th above the one before.
 */
const ORDERS: readonly number[] = [...Array.from({ length: 100 }, (_, i) => (11 + i) / 10), ...wholeOrders(12, 1024)]

/** Terms of a series that is not whole; what is left out is less than its last. */
const MAX_TERMS = 2000

/** Terms that are smaller than the greatest by this, in nats, do not change the sum in float64. */
const NEGLIGIBLE = 40

/**
 * The ε of (ε, δ)-differential privacy that steps have together, towards everyone who sees all that came of them, and for
 * neighbours that differ by one row more or less. An upper bound: Rényi divergences add up over the steps, and each order
 * gives a bound (Canonne, Kamath and Steinke 2020, arXiv 2004.00010, proposition 12; Balle et al. 2020, arXiv 1905.09982,
 * theorem 21), as in Opacus and TensorFlow Privacy.
 */
export function epsilonOf ({ steps, ...step }: PrivateSteps, delta: number): number {
  if (steps === 0) return 0
  return ORDERS.reduce((least, order) => {
    const divergence = steps * renyiDivergence(order, step)
    const epsilon = divergence + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1)
    return Math.min(least, Math.max(0, epsilon))
  }, Infinity)
}

/**
 * The Rényi divergence of one step (Mironov, Talwar and Zhang 2019, arXiv 1908.10530, section 3.3), in nats:
 * ln A / (order − 1), with A = E[((1 − q) + q·e^((2z − 1)/(2σ²)))^order] for z of N(0, σ²).
 *
 * @param order above 1
 */
export function renyiDivergence (order: number, { noiseMultiplier: sigma, sampleRate }: Omit<PrivateSteps, 'steps'>): number {
  if (sampleRate === 1) return order / (2 * sigma ** 2)
  const logA = Number.isInteger(order) ? wholeSum(order, sampleRate, sigma) : fractionalSum(order, sampleRate, sigma)
  return Math.max(0, logA) / (order - 1)
}

/** ln Σ_i C(α, i)·(1 − q)^(α − i)·q^i·e^((i² − i)/(2σ²)) */
function wholeSum (order: number, q: number, sigma: number): number {
  const terms = new LogSum()
  let logBinomial = 0
  for (let i = 0; i <= order; i++) {
    terms.add(logBinomial + i * Math.log(q) + (order - i) * Math.log1p(-q) + momentOf(i, sigma), 1)
    logBinomial += Math.log((order - i) / (i + 1))
  }
  return terms.log
}

/**
 * The same for any order: two series without end, for z below and above the place where both parts of the mixture are alike.
 * From the order on their signs alternate, so that what is left out is less than the last term, which is counted as positive.
 */
function fractionalSum (order: number, q: number, sigma: number): number {
  const terms = new LogSum()
  const equal = sigma ** 2 * Math.log(1 / q - 1) + 0.5
  let [logBinomial, sign] = [0, 1]
  for (let i = 0; i < MAX_TERMS; i++) {
    const j = order - i
    const below = logBinomial + i * Math.log(q) + j * Math.log1p(-q) + momentOf(i, sigma) + logTail((i - equal) / sigma)
    const above = logBinomial + j * Math.log(q) + i * Math.log1p(-q) + momentOf(j, sigma) + logTail((equal - j) / sigma)
    const last = i > order && (Math.max(below, above) < terms.log - NEGLIGIBLE || i === MAX_TERMS - 1)
    terms.add(below, last ? 1 : sign)
    terms.add(above, last ? 1 : sign)
    if (last) break
    logBinomial += Math.log(Math.abs(j) / (i + 1))
    if (j < 0) sign = -sign
  }
  return terms.log
}

/** (k² − k)/(2σ²) */
function momentOf (k: number, sigma: number): number {
  return (k * k - k) / (2 * sigma ** 2)
}

/** ln P(z > x) for z of N(0, 1). */
function logTail (x: number): number {
  return logErfc(x / Math.SQRT2) - Math.LN2
}

/** A sum of numbers of any size, known by their logarithms. */
class LogSum {
  #scale = -Infinity
  #sum = 0

  /** ln of the sum. */
  get log (): number { return this.#scale + Math.log(this.#sum) }

  add (log: number, sign: number): void {
    if (log > this.#scale) {
      this.#sum *= Math.exp(this.#scale - log)
      this.#scale = log
    }
    this.#sum += sign * Math.exp(log - this.#scale)
  }
}

function wholeOrders (first: number, last: number): number[] {
  const orders: number[] = []
  for (let order = first; order <= last; order += Math.max(1, Math.floor(order / 25))) orders.push(order)
  return orders
}
