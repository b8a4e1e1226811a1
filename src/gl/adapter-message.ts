import { InvalidAdapterError } from '../errors.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../tensor/safetensors.js'
import type { AdapterTensors, AuxiliarySpec, Site } from '../types.js'
import { parameterShapes } from './auxiliary.js'

/** An adapter as one message: `<site>.<parameter>` as safetensors in float32. */
export function encodeAdapter (tensors: AdapterTensors): Uint8Array<ArrayBuffer> {
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
    const tensor = floatTensor(tensors, name)
    if (tensor.shape.join() !== shape.join()) {
      throw new InvalidAdapterError(`${name} is [${tensor.shape.join(', ')}], this job has [${shape.join(', ')}]`)
    }
    if (!tensor.values.every(Number.isFinite)) throw new InvalidAdapterError(`${name} holds values that are not finite`)
    return [parameter, tensor]
  }))]))
  const expected = [...adapter.values()].reduce((sum, own) => sum + own.size, 0)
  if (tensors.size !== expected) throw new InvalidAdapterError(`${tensors.size} tensors, this job's adapters have ${expected}`)
  return adapter
}
