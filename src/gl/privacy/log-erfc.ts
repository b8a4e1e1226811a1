/** ln(2/√π) */
const LOG_TWO_OVER_ROOT_PI = Math.log(2 / Math.sqrt(Math.PI))

/** From here on the continued fraction takes over from the series, which loses digits as erf comes near to 1. */
const SERIES_END = 2

/** Terms of the continued fraction, which from `SERIES_END` on is then right to the last digit or two. */
const FRACTION_TERMS = 60

/**
 * ln erfc(x), also where erfc itself is too small for a float64: the series and the continued fraction of Abramowitz and
 * Stegun, 7.1.6 and 7.1.14.
 */
export function logErfc (x: number): number {
  if (x > SERIES_END) return -x * x - Math.log(fraction(x) * Math.sqrt(Math.PI))
  if (x < -SERIES_END) return Math.log1p(1 - Math.exp(logErfc(-x)))
  return Math.log1p(-Math.sign(x) * erfOfPositive(Math.abs(x)))
}

/** x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))) */
function fraction (x: number): number {
  let tail = x
  for (let k = FRACTION_TERMS; k > 0; k--) tail = x + (k / 2) / tail
  return tail
}

/** 2/√π·e^(−x²)·Σ 2ⁿx^(2n+1)/(1·3·…·(2n + 1)), of which no term is negative. */
function erfOfPositive (x: number): number {
  let term = x
  let sum = 0
  for (let n = 0; term > sum * Number.EPSILON; n++) {
    sum += term
    term *= 2 * x * x / (2 * n + 3)
  }
  return Math.exp(LOG_TWO_OVER_ROOT_PI - x * x) * sum
}
