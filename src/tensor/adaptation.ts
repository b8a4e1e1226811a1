import { InvalidTensorError } from '../errors.js'
import { inputShape, lengthsOf, outputShape } from '../places.js'
import type { AdaptationData, Batch, FloatTensor, NamedTensors, Site, SiteData, TensorData, WireForm } from '../types.js'
import { decodeSafetensors, encodeSafetensors, floatTensor, intTensor } from './safetensors.js'

const FILE_DTYPES = { f32: 'F32', bf16: 'BF16', factors: 'F32' } as const

/** What a message may have beside its values, in bytes: names and shapes. */
const HEADER_BYTES = 1 << 16

/**
 * Tensors of each site by name: `x.<site>` and `grad.<site>` for x and ∇ĥ, as `colanet step` writes them;
 * `grad.<site>.<parameter>` for factors' gradients.
 */
export function namedAdaptation (data: AdaptationData): NamedTensors {
  return new Map([...data].flatMap(([site, own]) => 'factors' in own
    ? [...own.factors].map(([parameter, tensor]) => [`grad.${site}.${parameter}`, tensor] as const)
    : [[`x.${site}`, own.x], [`grad.${site}`, own.gradient]] as const))
}

/** All tensors of one site. */
export function tensorsOf (data: SiteData): TensorData[] {
  return 'factors' in data ? [...data.factors.values()] : [data.x, data.gradient]
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

export function pairLayout (sites: readonly Site[], batch: Batch): MessageLayout {
  const lengths = lengthsOf(batch)
  return {
    shapes: new Map(sites.flatMap(site => [[`x.${site.name}`, inputShape(site, batch.rows, lengths)], [`grad.${site.name}`, outputShape(site, batch.rows, lengths)]])),
    read: (floats, integers) => new Map<string, SiteData>(sites.map(({ name, embedding = false }) =>
      [name, { x: (embedding ? integers : floats)(`x.${name}`), gradient: floats(`grad.${name}`) }]))
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
