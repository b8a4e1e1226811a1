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

/** An adapter, and which of those that were possible it is. */
interface DecodedAdapter {
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
}

/**
 * The adapter that a message holds: of some of the sites, one at least, all parameters that one of `specs` gives them, in their
 * shapes, and nothing else.
 *
 * @throws {InvalidTensorError} if the bytes are not safetensors
 * @throws {InvalidAdapterError} if they hold anything else, or values that are not finite
 */
export function decodeAdapter (bytes: Uint8Array, specs: readonly AuxiliarySpec[], sites: readonly Site[]): DecodedAdapter {
  const { tensors } = decodeSafetensors(bytes)
  let failure: unknown
  for (const spec of specs) {
    try {
      return { spec, adapter: adapterOf(tensors, spec, sites) }
    } catch (error) {
      failure ??= error
    }
  }
  throw failure
}

function adapterOf (tensors: NamedTensors, spec: AuxiliarySpec, sites: readonly Site[]): AdapterTensors {
  const adapter = new Map(sites.flatMap(site => {
    const shapes = [...parameterShapes(spec, site)].map(([parameter, shape]) => ({ parameter, shape, name: `${site.name}.${parameter}` }))
    if (!shapes.some(({ name }) => tensors.has(name))) return []
    return [[site.name, new Map(shapes.map(({ parameter, shape, name }) => [parameter, parameterOf(tensors, name, shape)]))] as const]
  }))
  const expected = [...adapter.values()].reduce((sum, own) => sum + own.size, 0)
  if (expected === 0 || tensors.size !== expected) {
    throw new InvalidAdapterError(`${tensors.size} tensors, of which ${expected} are ${spec.kind} auxiliaries of this job's sites; all must be, and one at least`)
  }
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
