import { InvalidTensorError } from '../errors.js'
import type { AdaptationData, FloatTensor, NamedTensors, Site, SiteData, WireDtype } from '../types.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from './safetensors.js'

const FILE_DTYPES = { f32: 'F32', bf16: 'BF16' } as const

/** x and ∇ĥ of each site by name: `x.<site>` and `grad.<site>`, as `colanet step` writes them. */
export function namedAdaptation (data: AdaptationData): NamedTensors<Float32Array> {
  return new Map([...data].flatMap(([site, { x, gradient }]) => [[`x.${site}`, x], [`grad.${site}`, gradient]] as const))
}

/** Adaptation data of some sites as one message: safetensors, floats as `wire` says. */
export function encodeAdaptation (data: AdaptationData, wire: WireDtype, allocate?: (bytes: number) => Uint8Array): Uint8Array {
  return encodeSafetensors(namedAdaptation(data), { dtype: FILE_DTYPES[wire], ...(allocate && { allocate }) })
}

/**
 * The adaptation data that a message holds: exactly those of the sites.
 *
 * @param tokens in the batch, padding included
 * @throws {InvalidTensorError} if the bytes are anything else, or a tensor has not `tokens` rows of the site's features
 */
export function decodeAdaptation (bytes: Uint8Array, sites: readonly Site[], tokens: number): AdaptationData {
  const { tensors } = decodeSafetensors(bytes)
  if (tensors.size !== 2 * sites.length) throw new InvalidTensorError(`${tensors.size} tensors; ${sites.length} sites have ${2 * sites.length}`)
  return new Map<string, SiteData>(sites.map(({ name, inFeatures, outFeatures }) => [name, {
    x: tensorOf(tensors, `x.${name}`, [tokens, inFeatures]),
    gradient: tensorOf(tensors, `grad.${name}`, [tokens, outFeatures])
  }]))
}

function tensorOf (tensors: NamedTensors, name: string, shape: readonly number[]): FloatTensor {
  const tensor = floatTensor(tensors, name)
  if (tensor.shape.join() !== shape.join()) throw new InvalidTensorError(`${name} is [${tensor.shape.join(', ')}], it must be [${shape.join(', ')}]`)
  return tensor
}
