import { InvalidAdapterError } from '../errors.js'
import { decodeSafetensors, encodeSafetensors } from '../tensor/safetensors.js'
import { allFinite } from '../tensor/finite.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, NamedTensors, Site } from '../types.js'
import { parameterShapes } from './auxiliary.js'

/** An adapter as one message: `<site>.<parameter>` as safetensors in float32. */
export function encodeAdapter (tensors: AdapterTensors): Uint8Array {
  return encodeSafetensors(new Map([...tensors].flatMap(([site, own]) =>
    [...own].map(([parameter, tensor]) => [`${site}.${parameter}`, tensor] as const))))
}

/**
 * The adapter that a message holds: exactly the parameters that `spec` gives each of the sites, in their shapes.
 *
 * @throws {InvalidTensorError} if the bytes are not safetensors
 * @throws {InvalidAdapterError} if they hold anything else, or values that are not finite
 */
export function decodeAdapter (bytes: Uint8Array, spec: AuxiliarySpec, sites: readonly Site[]): AdapterTensors {
  const { tensors } = decodeSafetensors(bytes)
  const adapter = new Map(sites.map(site => [site.name, new Map([...parameterShapes(spec, site)].map(([parameter, shape]) => {
    const name = `${site.name}.${parameter}`
    return [parameter, parameterOf(tensors, name, shape)]
  }))]))
  const expected = [...adapter.values()].reduce((sum, own) => sum + own.size, 0)
  if (tensors.size !== expected) throw new InvalidAdapterError(`${tensors.size} tensors, this job's adapters have ${expected}`)
  return adapter
}

function parameterOf (tensors: NamedTensors, name: string, expected: readonly number[]): FloatTensor {
  const { shape, values } = tensors.get(name) ?? {}
  if (shape?.join() !== expected.join() || !(values instanceof Float32Array)) {
    const found = shape === undefined ? 'missing' : `[${shape.join(', ')}]${values instanceof Float32Array ? '' : ' of integers'}`
    throw new InvalidAdapterError(`${name} is ${found}, this job has [${expected.join(', ')}] of floats`)
  }
  if (!allFinite(values)) throw new InvalidAdapterError(`${name} holds values that are not finite`)
  return { shape, values }
}
