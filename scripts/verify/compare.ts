import type { AdapterTensors, AuxiliaryTensors } from '../../src/types.js'
import { relativeError } from '../../test/support/compare.js'
import type { Case } from './proposition.js'

/**
 * One case for each site: ‖a − b‖ / ‖b‖ of all parameters of its auxiliary as one vector. Not each by itself, as some gradients
 * are 0 but for rounding: what is added to all keys alike moves no attention.
 */
export function * compared (name: string, actual: AdapterTensors, expected: AdapterTensors): Generator<Case> {
  for (const [site, own] of expected) yield { name: `${name}, ${site}`, error: relativeError(inARow(own, actual.get(site)), inARow(own, own)) }
}

/** Values of the parameters, in the order of their names in `like`; NaN for one that is missing or has another shape. */
function inARow (like: AuxiliaryTensors, tensors: AuxiliaryTensors | undefined): Float32Array {
  const values = new Float32Array([...like.values()].reduce((sum, own) => sum + own.values.length, 0)).fill(NaN)
  let begin = 0
  for (const [name, { shape, values: { length } }] of like) {
    const own = tensors?.get(name)
    if (own?.shape.join() === shape.join()) values.set(own.values, begin)
    begin += length
  }
  return values
}
