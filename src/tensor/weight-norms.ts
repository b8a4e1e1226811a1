import { InvalidTensorError } from '../errors.js'
import type { FloatTensor, Site } from '../types.js'
import { allFinite } from './finite.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from './safetensors.js'

/** Norms of the rows of sites' weights, `[out]` each, by full module name. */
export type WeightNorms = ReadonlyMap<string, FloatTensor>

/** As one message: safetensors in float32. */
export function encodeWeightNorms (norms: WeightNorms): Uint8Array {
  return encodeSafetensors(norms)
}

/** @throws {InvalidTensorError} if the bytes are anything but norms of all of the sites */
export function decodeWeightNorms (bytes: Uint8Array, sites: readonly Site[]): WeightNorms {
  const { tensors } = decodeSafetensors(Uint8Array.from(bytes)) // a copy, aligned
  if (tensors.size !== sites.length) throw new InvalidTensorError(`norms of ${tensors.size} sites, there should be ${sites.length}`)
  return new Map(sites.map(({ name, outFeatures }) => {
    const norm = floatTensor(tensors, name)
    if (norm.shape.join() !== String(outFeatures)) throw new InvalidTensorError(`the norms of ${name} are [${norm.shape.join(', ')}], they must be [${outFeatures}]`)
    if (!allFinite(norm.values) || norm.values.some(value => value < 0)) throw new InvalidTensorError(`the norms of ${name} hold values that are no norms`)
    return [name, norm]
  }))
}
