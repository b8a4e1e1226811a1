import type { ModuleResult } from '../auxiliary-spec.js'
import { InvalidTensorError } from '../errors.js'
import { inputShape, lengthsOf, outputShape } from '../places.js'
import type { AdaptationData, Batch, FloatTensor, NamedTensors, Site, SiteData, TensorData, WireForm } from '../types.js'
import { decodeSafetensors, encodeSafetensors, floatTensor, intTensor } from './safetensors.js'

const FILE_DTYPES = { f32: 'F32', bf16: 'BF16', factors: 'F32' } as const

/** What a message may have beside its values, in bytes: names and shapes. */
const HEADER_BYTES = 1 << 16

/**
 * Tensors of each site by name: `x.<site>` and `grad.<site>` for x and ∇ĥ, as `colanet step` writes them; where they are wanted
 * `y.<site>` for what the module gives itself, and `norm.<site>` for norms; `grad.<site>.<parameter>` for factors' gradients.
 */
export function namedAdaptation (data: AdaptationData): NamedTensors {
  return new Map([...data].flatMap(([site, own]): Array<[string, TensorData]> => 'factors' in own
    ? [...own.factors].map(([parameter, tensor]) => [`grad.${site}.${parameter}`, tensor])
    : Object.entries({ x: own.x, grad: own.gradient, ...(own.output && { y: own.output }), ...(own.norm && { norm: own.norm }) }).map(([what, tensor]) => [`${what}.${site}`, tensor])))
}

/** All tensors of one site. */
export function tensorsOf (data: SiteData): TensorData[] {
  return 'factors' in data ? [...data.factors.values()] : [data.x, data.gradient, data.output ?? [], data.norm ?? []].flat()
}

/** Adaptation data of some sites as one message: safetensors, floats as `wire` says, tokens as integers whatever it says. */
export function encodeAdaptation (data: AdaptationData, wire: WireForm, allocate?: (bytes: number) => Uint8Array): Uint8Array {
  return encodeSafetensors(namedAdaptation(data), { dtype: FILE_DTYPES[wire], ...(allocate && { allocate }) })
}

/** What a message about some sites holds: the shapes of its tensors, and how each site's data are found in it. */
export interface MessageLayout {
  readonly shapes: ReadonlyMap<string, readonly number[]>
  readonly read: (floats: (name: string) => FloatTensor, integers: (name: string) => TensorData<Int32Array>) => AdaptationData
}

/** @param seen what the auxiliaries are fitted from beside (x, ∇ĥ), see `seenBy` */
export function pairLayout (sites: readonly Site[], batch: Batch, seen?: ModuleResult): MessageLayout {
  const lengths = lengthsOf(batch)
  return {
    shapes: new Map(sites.flatMap(site => {
      const output = outputShape(site, batch.rows, lengths)
      const shapes: Record<string, readonly number[]> = {
        x: inputShape(site, batch.rows, lengths),
        grad: output,
        ...(seen !== undefined && { y: output }),
        ...(seen === 'product' && { norm: [site.outFeatures] })
      }
      return Object.entries(shapes).map(([what, shape]) => [`${what}.${site.name}`, shape] as const)
    })),
    read: (floats, integers) => new Map<string, SiteData>(sites.map(({ name, embedding = false }) => [name, {
      x: (embedding ? integers : floats)(`x.${name}`),
      gradient: floats(`grad.${name}`),
      ...(seen !== undefined && { output: floats(`y.${name}`) }),
      ...(seen === 'product' && { norm: floats(`norm.${name}`) })
    }]))
  }
}

/** @param parameters of each site, with their shapes */
export function factorLayout (parameters: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>): MessageLayout {
  return {
    shapes: new Map([...parameters].flatMap(([site, shapes]) => [...shapes].map(([parameter, shape]) => [`grad.${site}.${parameter}`, shape] as const))),
    read: floats => new Map<string, SiteData>([...parameters].map(([site, shapes]) =>
      [site, { factors: new Map([...shapes.keys()].map(parameter => [parameter, floats(`grad.${site}.${parameter}`)])) }]))
  }
}

/** The most that a message may have, in bytes. */
export function mostBytes ({ shapes }: MessageLayout): number {
  return [...shapes.values()].reduce((sum, shape) => sum + 4 * shape.reduce((product, size) => product * size, 1), HEADER_BYTES)
}

/**
 * The adaptation data that a message holds.
 *
 * @throws {InvalidTensorError} if the bytes are anything but the tensors of the layout, in their shapes
 */
export function decodeAdaptation (bytes: Uint8Array, { shapes, read }: MessageLayout): AdaptationData {
  const { tensors } = decodeSafetensors(bytes)
  if (tensors.size !== shapes.size) throw new InvalidTensorError(`${tensors.size} tensors, there should be ${shapes.size}`)
  const inShape = <T extends TensorData>(name: string, tensor: T): T => checkShape(name, tensor, shapes.get(name) ?? [])
  return read(name => inShape(name, floatTensor(tensors, name)), name => inShape(name, intTensor(tensors, name)))
}

function checkShape<T extends TensorData> (name: string, tensor: T, shape: readonly number[]): T {
  if (tensor.shape.join() !== shape.join()) throw new InvalidTensorError(`${name} is [${tensor.shape.join(', ')}], it must be [${shape.join(', ')}]`)
  return tensor
}
