import type { AdapterTensors, AuxiliarySpec, FloatTensor, Site } from '../../src/types.js'
import { contribution } from '../merge/random.js'

export const SITES: readonly Site[] = [
  { name: 'h.0.wide', inFeatures: 3, outFeatures: 5 },
  { name: 'h.0.tall', inFeatures: 6, outFeatures: 2 },
  { name: 'h.1.square', inFeatures: 4, outFeatures: 4 }
]

/** Of modules that take no tokens. */
export type FloatPair = Readonly<Record<'x' | 'gradient', FloatTensor>>

/** Values in [-1, 1). */
export function uniform (shape: readonly number[], random: () => number): FloatTensor {
  return { shape, values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random() * 2 - 1) }
}

/** An adapter that is not at its start. */
export function randomAdapter (spec: AuxiliarySpec, sites: readonly Site[], random: () => number): AdapterTensors {
  return contribution(0, spec, sites, random).adapter
}

/** Adaptation data of some tokens for each site. */
export function randomData (sites: readonly Site[], tokens: number, random: () => number): Map<string, FloatPair> {
  return new Map(sites.map(({ name, inFeatures, outFeatures }) =>
    [name, { x: uniform([tokens, inFeatures], random), gradient: uniform([tokens, outFeatures], random) }]))
}
