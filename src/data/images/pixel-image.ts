/**
 * The most pixels that an image is decoded or enlarged to: as RGB 300 MB. A small file can claim any number of them, and
 * cameras stay below this.
 */
export const MAX_PIXELS = 100_000_000

/** An image of 8 bits a channel. */
export interface PixelImage {
  readonly width: number
  readonly height: number
  /** 3 for red, green and blue; 1 for grey. */
  readonly channels: 1 | 3
  /** From 0 to 255, `[height, width, channels]`, row-major. */
  readonly values: Uint8Array
}

/** Grey as red, green and blue alike, or colours as their luma. */
export function withChannels (image: PixelImage, channels: 1 | 3): PixelImage {
  if (image.channels === channels) return image
  const { width, height, values } = image
  const converted = channels === 1 ? lumaOf(values) : Uint8Array.from({ length: 3 * values.length }, (_, i) => values[Math.trunc(i / 3)])
  return { width, height, channels, values: converted }
}

/** `[pixels, 3]` to `[pixels]`, ITU-R BT.601 in 16 bits after the point: to the bit what PIL's `convert('L')` gives. */
function lumaOf (values: Uint8Array): Uint8Array {
  const luma = new Uint8Array(values.length / 3)
  for (let i = 0; i < luma.length; i++) {
    luma[i] = (19595 * values[3 * i] + 38470 * values[3 * i + 1] + 7471 * values[3 * i + 2] + 0x8000) >> 16
  }
  return luma
}
