import type { ModuleResult } from '../auxiliary-spec.js'
import { InvalidTensorError } from '../errors.js'
import { inputShape, lengthsOf, outputShape } from '../places.js'
import type { AdaptationData, Batch, FloatTensor, NamedTensors, Site, SiteData, TensorData, TensorValues, WireForm } from '../types.js'
import { quantize } from './quantize.js'
import type { Round } from './remainders.js'
import { decodeRounded, encodeRounded } from './rounded-message.js'
import { decodeScaled, encodeScaled } from './scaled-message.js'
import { decodeSafetensors, encodeSafetensors, type FloatDtype, floatTensor, intTensor } from './safetensors.js'

const FILE_DTYPES = { f32: 'F32', bf16: 'BF16', factors: 'F32', product: 'F32' } as const satisfies Partial<Record<WireForm, FloatDtype>>

/** What names of x begin with. */
const INPUT = 'x.'

/** Whether what the host sends is summed over tokens. */
export function isSummed (wire: WireForm = 'f32'): boolean {
  return wire === 'factors' || wire === 'product' || wire === 'int8'
}

/** Whether what the host sends are pairs in 16 bits. */
export function isHalved (wire: WireForm): boolean {
  return wire === 'bf16' || wire === 'f16'
}

/** What a message may have beside its values, in bytes: names and shapes. */
const HEADER_BYTES = 1 << 16

/**
 * Tensors of each site by name: `x.<site>` and `grad.<site>` for x and ∇ĥ, as `colanet step` writes them; where they are wanted
 * `y.<site>` for what the module gives itself, and `norm.<site>` for norms; `grad.<site>.<parameter>` for factors' gradients;
 * `product.<site>` for Σ∇ĥ·xᵀ.
 */
export function namedAdaptation (data: AdaptationData): NamedTensors {
  return new Map([...data].flatMap(([site, own]): Array<[string, TensorData]> => {
    if ('factors' in own) return [...own.factors].map(([parameter, tensor]) => [`grad.${site}.${parameter}`, tensor])
    if ('product' in own) return [[`product.${site}`, own.product]]
    return Object.entries({ x: own.x, grad: own.gradient, ...(own.output && { y: own.output }), ...(own.norm && { norm: own.norm }) }).map(([what, tensor]) => [`${what}.${site}`, tensor])
  }))
}

/** All tensors of one site. */
export function tensorsOf (data: SiteData): TensorData[] {
  if ('factors' in data) return [...data.factors.values()]
  return 'product' in data ? [data.product] : [data.x, data.gradient, data.output ?? [], data.norm ?? []].flat()
}

/**
 * Adaptation data of some sites as one message: safetensors, floats as `wire` says, tokens as integers whatever it says. An x that
 * several sites have in common is there once, under the name of the first: the message's metadata say of the others which it is.
 *
 * @param round for int8, which is of sums of floats @default each tensor by itself
 */
export function encodeAdaptation (data: AdaptationData, wire: WireForm, allocate?: (bytes: number) => Uint8Array, round: Round = (_, values) => quantize('int8', values)): Uint8Array {
  if (wire === 'int8') return encodeRounded(namedAdaptation(data) as NamedTensors<Float32Array>, round, { ...(allocate && { allocate }) })
  const same = sharedInputs(data)
  const metadata = Object.fromEntries([...same].map(([site, first]) => [INPUT + site, INPUT + first]))
  const tensors = new Map([...namedAdaptation(data)].filter(([name]) => !Object.hasOwn(metadata, name)))
  const options = { ...(same.size > 0 && { metadata }), ...(allocate && { allocate }) }
  return wire === 'f16' ? encodeScaled(tensors, options) : encodeSafetensors(tensors, { dtype: FILE_DTYPES[wire], ...options })
}

/** Of sites whose x is to the bit that of one before them, the first that has it. */
export function sharedInputs (data: AdaptationData): Map<string, string> {
  const firsts: Array<readonly [site: string, x: TensorData]> = []
  const same = new Map<string, string>()
  for (const [site, own] of data) {
    if (!('x' in own)) continue
    const first = firsts.find(([, x]) => isSame(x, own.x))
    if (first === undefined) firsts.push([site, own.x])
    else same.set(site, first[0])
  }
  return same
}

function isSame ({ shape, values }: TensorData, other: TensorData): boolean {
  const bytesOf = (own: TensorValues): Buffer => Buffer.from(own.buffer, own.byteOffset, own.byteLength)
  return shape.join() === other.shape.join() && values.constructor === other.values.constructor && (values === other.values || bytesOf(values).equals(bytesOf(other.values)))
}

/** What a message about some sites holds: the shapes of its tensors, and how each site's data are found in it. */
export interface MessageLayout {
  readonly shapes: ReadonlyMap<string, readonly number[]>
  /** How floats are there: with scales, see `encodeRounded`, or exponents, see `encodeScaled`. @default as the message says */
  readonly dtype?: 'I8' | 'F16'
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

export function productLayout (sites: readonly Site[]): MessageLayout {
  return {
    shapes: new Map(sites.map(({ name, inFeatures, outFeatures }) => [`product.${name}`, [outFeatures, inFeatures]])),
    read: floats => new Map<string, SiteData>(sites.map(({ name }) => [name, { product: floats(`product.${name}`) }]))
  }
}

/** The most that a message may have, in bytes. */
export function mostBytes ({ shapes, dtype }: MessageLayout): number {
  const header = (dtype === undefined ? 1 : 2) * HEADER_BYTES // scales and exponents have names too
  return [...shapes.values()].reduce((sum, shape) => sum + 4 * shape.reduce((product, size) => product * size, 1), header)
}

/**
 * The adaptation data that a message holds.
 *
 * @throws {InvalidTensorError} if the bytes are anything but the tensors of the layout, in their shapes, an x that is another's among them
 */
export function decodeAdaptation (bytes: Uint8Array, { shapes, read, dtype }: MessageLayout): AdaptationData {
  const { tensors, metadata } = dtype === 'I8' ? { tensors: decodeRounded(bytes), metadata: {} } : dtype === 'F16' ? decodeScaled(bytes) : decodeSafetensors(bytes)
  const all = new Map([...tensors, ...Object.entries(metadata).map(([name, first]) => [name, inputNamed(tensors, name, first)] as const)])
  if (all.size !== shapes.size) throw new InvalidTensorError(`${all.size} tensors, there should be ${shapes.size}`)
  const inShape = <T extends TensorData>(name: string, tensor: T): T => checkShape(name, tensor, shapes.get(name) ?? [])
  return read(name => inShape(name, floatTensor(all, name)), name => inShape(name, intTensor(all, name)))
}

/** The x that a message says to be that of another site. */
function inputNamed (tensors: NamedTensors, name: string, first: string): TensorData {
  const tensor = tensors.get(first)
  if (tensor === undefined || tensors.has(name) || !name.startsWith(INPUT) || !first.startsWith(INPUT)) {
    throw new InvalidTensorError(`${name} is said to be ${first}; an x can be that of a site whose x is in the message, where it has none of its own`)
  }
  return tensor
}

function checkShape<T extends TensorData> (name: string, tensor: T, shape: readonly number[]): T {
  if (tensor.shape.join() !== shape.join()) throw new InvalidTensorError(`${name} is [${tensor.shape.join(', ')}], it must be [${shape.join(', ')}]`)
  return tensor
}
