import type { Metadata, SharpOptions } from 'sharp'
import { InvalidDataError } from '../../errors.js'
import { MAX_PIXELS, type PixelImage } from './pixel-image.js'

/** What files begin with, whatever they are called. */
const SIGNATURES = [[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], [0xff, 0xd8, 0xff]]

const OPTIONS: SharpOptions = {
  failOn: 'error', // a truncated file counts as one; what comes with a mere warning decodes in PIL too
  autoOrient: true,
  ignoreIcc: true,
  limitInputPixels: false // said by us, with the size
}

/**
 * The pixels of a PNG or JPEG file as RGB, to the bit those that PIL decodes and converts with `convert('RGB')`:
 *
 * - alpha is dropped, and what lies under it is shown; palettes and grey become RGB; CMYK is converted without a profile,
 *   and a colour profile that is embedded changes nothing;
 * - of 16 bits a channel the upper 8 count, also where the file is grey, which PIL cuts off at 255;
 * - what EXIF says of the orientation is followed, as `load_image` of transformers and `Image` of Hugging Face's datasets
 *   do, so that an image is as people see it. torchvision's `ImageFolder` does not.
 *
 * @param source the file, for errors
 * @returns `[height, width, 3]`
 * @throws {InvalidDataError} if it is neither PNG nor JPEG, damaged, truncated or of more than `MAX_PIXELS`
 */
export async function decodeImage (bytes: Uint8Array, source: string): Promise<PixelImage> {
  if (!SIGNATURES.some(signature => signature.every((byte, i) => bytes[i] === byte))) {
    throw new InvalidDataError(`${source}: ${bytes.length === 0 ? 'an empty file' : 'the content is neither PNG nor JPEG, whatever the name says'}; convert it to one of these`)
  }
  const { default: sharp } = await import('sharp') // takes a sixth of a second, which no other command is to wait for
  const image = sharp(bytes, OPTIONS)
  const { width, height, space } = await image.metadata().catch(refuse(source))
  checkSize({ width, height }, source)
  const isInk = space === 'cmyk'
  const pixels = isInk ? image.pipelineColourspace('cmyk').toColourspace('cmyk') : image.removeAlpha()
  const { data, info } = await pixels.raw().toBuffer({ resolveWithObject: true }).catch(refuse(source))
  return { width: info.width, height: info.height, channels: 3, values: isInk ? toLight(data) : data }
}

function checkSize ({ width, height }: Pick<Metadata, 'width' | 'height'>, source: string): void {
  if (width * height > MAX_PIXELS) {
    throw new InvalidDataError(`${source}: ${width} by ${height} pixels are more than ${MAX_PIXELS}; make it smaller`)
  }
}

/** CMYK `[pixels, 4]` to RGB `[pixels, 3]`, in PIL's integers. */
function toLight (ink: Uint8Array): Uint8Array {
  const light = new Uint8Array(ink.length / 4 * 3)
  for (let pixel = 0; pixel < ink.length / 4; pixel++) {
    const white = 255 - ink[4 * pixel + 3]
    for (let channel = 0; channel < 3; channel++) {
      const product = ink[4 * pixel + channel] * white + 128
      light[3 * pixel + channel] = white - (((product >> 8) + product) >> 8) // white·(1 − ink / 255), rounded
    }
  }
  return light
}

function refuse (source: string): (cause: unknown) => never {
  return cause => {
    throw new InvalidDataError(`${source}: cannot be decoded (${(cause as Error).message}); the file is truncated or damaged`, { cause })
  }
}
