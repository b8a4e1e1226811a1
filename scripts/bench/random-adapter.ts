import { parameterShapes } from '../../src/gl/auxiliary.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, Site } from '../../src/types.js'
import { uniform } from './uniform.js'

export const LORA: AuxiliarySpec = { kind: 'low-rank', rank: 8, alpha: 8 }

/** Small, so that losses stay what they are. */
const BOUND = 0.01

/** Auxiliaries, the same for the same seed. */
export function randomAdapter (sites: readonly Site[], seed: number, spec = LORA): AdapterTensors {
  const random = uniform(seed)
  return new Map(sites.map(site => [site.name, new Map([...parameterShapes(spec, site)].map(([name, shape]): [string, FloatTensor] =>
    [name, { shape, values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => BOUND * random()) }]))]))
}
