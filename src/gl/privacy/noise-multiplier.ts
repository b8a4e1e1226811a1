import { InvalidOptionError } from '../../errors.js'
import { epsilonOf, type PrivateSteps } from './accountant.js'

export interface PrivacyTarget extends Omit<PrivateSteps, 'noiseMultiplier'> {
  readonly epsilon: number
  readonly delta: number
}

/** How near to the least noise multiplier the one that is found comes, as a share of it. */
const PRECISION = 1e-4

/** With more noise nothing is learned, and no order shows a smaller ε. */
const MAX_NOISE = 1e4

/**
 * The noise multiplier with which steps have the wanted ε, or a little less.
 *
 * @throws {InvalidOptionError} if so small an ε cannot be shown for this δ
 */
export function noiseMultiplierFor ({ epsilon, delta, ...steps }: PrivacyTarget): number {
  const isEnough = (noiseMultiplier: number): boolean => epsilonOf({ ...steps, noiseMultiplier }, delta) <= epsilon
  let enough = 1
  while (!isEnough(enough)) {
    enough *= 2
    if (enough > MAX_NOISE) throw new InvalidOptionError(`no noise gives ε ${epsilon} at δ ${delta}; use a greater ε, or a greater δ`)
  }
  let little = enough / 2
  while (isEnough(little)) {
    enough = little
    little /= 2
  }
  while (enough - little > PRECISION * enough) {
    const middle = (enough + little) / 2
    if (isEnough(middle)) enough = middle
    else little = middle
  }
  return enough
}
