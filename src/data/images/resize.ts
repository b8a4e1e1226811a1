import type { PixelImage } from './pixel-image.js'

/** Bits after the point of a weight, as in PIL: 8 of a value, 2 to spare and these are 32. */
const PRECISION_BITS = 22

/** Added before the bits after the point are cut off. */
const HALF = 1 << (PRECISION_BITS - 1)

interface Kernel {
  /** How far it reaches to either side, in pixels of the result. */
  readonly support: number
  readonly weight: (distance: number) => number
}

const KERNELS = {
  bilinear: { support: 1, weight: distance => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: { support: 2, weight: distance => cubic(Math.abs(distance)) }
} satisfies Record<string, Kernel>

export type Resampling = 'nearest' | keyof typeof KERNELS

/** The pixels of an axis that one pixel of the result is made of. */
interface Taps {
  readonly first: number
  /** In fixed point. */
  readonly weights: Int32Array
}

export interface Size {
  /** In pixels. */
  readonly height: number
  /** In pixels. */
  readonly width: number
}

/**
 * To the bit what PIL's `Image.resize` gives (`libImaging/Resample.c`): one axis after the other, the kernel as wide as the
 * image shrinks, so that every pixel counts, and 8 bits between the two.
 */
export function resize (image: PixelImage, { height, width }: Size, resampling: Resampling): PixelImage {
  const { channels } = image
  const wide = along(image.values, [image.height, image.width, channels], tapsOf(image.width, width, resampling)) // [height, new width, channels]
  const values = along(wide, [1, image.height, width * channels], tapsOf(image.height, height, resampling)) // [new height, new width, channels]
  return { width, height, channels, values }
}

/** `[outer, size, inner]` to `[outer, taps, inner]`. */
function along (values: Uint8Array, [outer, size, inner]: readonly [number, number, number], taps: readonly Taps[]): Uint8Array {
  const result = new Uint8ClampedArray(outer * taps.length * inner)
  const sums = new Int32Array(inner) // [inner]
  for (let block = 0; block < outer; block++) {
    for (let position = 0; position < taps.length; position++) {
      const { first, weights } = taps[position]
      sums.fill(HALF)
      for (let tap = 0; tap < weights.length; tap++) {
        const from = (block * size + first + tap) * inner
        for (let i = 0; i < inner; i++) sums[i] += values[from + i] * weights[tap]
      }
      const to = (block * taps.length + position) * inner
      for (let i = 0; i < inner; i++) result[to + i] = sums[i] >> PRECISION_BITS
    }
  }
  return new Uint8Array(result.buffer)
}

function tapsOf (size: number, newSize: number, resampling: Resampling): Taps[] {
  return resampling === 'nearest' ? nearest(size, newSize) : weighted(size, newSize, KERNELS[resampling])
}

/** The pixel under the middle of each new one. Summed up step by step as in PIL, whose rounding decides where two are as near. */
function nearest (size: number, newSize: number): Taps[] {
  const step = size / newSize
  let middle = step * 0.5
  return Array.from({ length: newSize }, () => {
    const first = Math.min(Math.floor(middle), size - 1)
    middle += step
    return { first, weights: Int32Array.of(1 << PRECISION_BITS) }
  })
}

function weighted (size: number, newSize: number, { support, weight }: Kernel): Taps[] {
  const scale = size / newSize
  const stretch = Math.max(scale, 1)
  return Array.from({ length: newSize }, (_, position) => {
    const middle = (position + 0.5) * scale
    const first = Math.max(0, Math.trunc(middle - support * stretch + 0.5))
    const end = Math.min(size, Math.trunc(middle + support * stretch + 0.5))
    const weights = Array.from({ length: end - first }, (_, tap) => weight((first + tap - middle + 0.5) * (1 / stretch)))
    const total = weights.reduce((sum, value) => sum + value, 0)
    return { first, weights: Int32Array.from(weights, value => toFixed(value / total)) }
  })
}

/** Keys' cubic convolution with a = −1/2. */
function cubic (distance: number): number {
  const a = -0.5
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a
  return 0
}

function toFixed (weight: number): number {
  return Math.trunc(weight * 2 ** PRECISION_BITS + Math.sign(weight) * 0.5)
}
