import { parameterShapes } from '../../src/gl/auxiliary.js'
import type { AuxiliarySpec, AuxiliaryTensors, Site } from '../../src/types.js'
import { uniform } from './adaptation.js'

/** Parameters of any kind of auxiliary that are not at their start. */
export function randomAuxiliary (spec: AuxiliarySpec, site: Site, random: () => number): AuxiliaryTensors {
  return new Map([...parameterShapes(spec, site)].map(([name, shape]) => [name, uniform(shape, random)]))
}
