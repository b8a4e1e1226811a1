import { readFile } from 'node:fs/promises'
import { InvalidDataError } from '../../errors.js'
import type { FloatTensor } from '../../types.js'
import { decodeImage } from './decode.js'
import type { ImageProcessor, ShortestEdge } from './image-processor.js'
import { MAX_PIXELS, type PixelImage, withChannels } from './pixel-image.js'
import { resize, type Size } from './resize.js'

/**
 * A PNG or JPEG file as a model takes it.
 *
 * @returns `[channels, height, width]`
 * @throws {InvalidDataError} naming the file, if it cannot be decoded or does not come out in the size that the model takes
 */
export async function readPixels (path: string, processor: ImageProcessor): Promise<FloatTensor> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new InvalidDataError(`${path}: cannot be read (${(cause as Error).message})`, { cause })
  })
  return processImage(await decodeImage(bytes, path), processor, path)
}

/**
 * What transformers' image processors make of an image, in their order: colours, resized, cropped, scaled.
 *
 * @param source the file, for errors
 * @returns `[channels, height, width]`
 * @throws {InvalidDataError} naming the source, if it does not come out in the size that the model takes
 */
export function processImage (image: PixelImage, processor: ImageProcessor, source: string): FloatTensor {
  const { output } = processor
  const coloured = withChannels(image, processor.channels) // [height, width, channels]
  const resized = processor.resize === undefined ? coloured : resizeTo(coloured, processor.resize, source)
  const made = processor.crop === undefined ? resized : cropMiddle(resized, processor.crop)
  if (made.height !== output.height || made.width !== output.width) {
    throw new InvalidDataError(`${source}: ${image.height} by ${image.width} pixels (height by width) come out as ${made.height} by ${made.width}, but the model takes ${output.height} by ${output.width}; its preprocessor_config.json neither resizes nor crops to that`)
  }
  return scale(made, processor)
}

function resizeTo (image: PixelImage, { to, resampling }: NonNullable<ImageProcessor['resize']>, source: string): PixelImage {
  const size = 'shortestEdge' in to ? inProportion(image, to) : to
  if (size.height * size.width > MAX_PIXELS) {
    throw new InvalidDataError(`${source}: ${image.height} by ${image.width} pixels (height by width) would become ${size.height} by ${size.width}, which is more than ${MAX_PIXELS}; crop it`)
  }
  return resize(image, size, resampling)
}

function inProportion ({ height, width }: Size, { shortestEdge }: ShortestEdge): Size {
  const long = Math.trunc(shortestEdge * Math.max(height, width) / Math.min(height, width))
  return width <= height ? { height: long, width: shortestEdge } : { height: shortestEdge, width: long }
}

/** Where the image is smaller, black is around it, of an odd number of pixels one more below and to the right. */
function cropMiddle (image: PixelImage, { height, width }: Size): PixelImage {
  const { channels } = image
  const top = Math.trunc((image.height - height) / 2)
  const left = Math.trunc((image.width - width) / 2)
  const from = Math.max(left, 0)
  const end = Math.min(left + width, image.width)
  const values = new Uint8Array(height * width * channels) // [height, width, channels]
  for (let y = Math.max(0, -top); y < height && top + y < image.height; y++) {
    const row = (top + y) * image.width
    values.set(image.values.subarray((row + from) * channels, (row + end) * channels), (y * width + from - left) * channels)
  }
  return { height, width, channels, values }
}

/** `[height, width, channels]` of bytes to `[channels, height, width]` of (value·factor − mean) / std. */
function scale ({ height, width, channels, values }: PixelImage, { factor, mean, std }: ImageProcessor): FloatTensor {
  const pixels = height * width
  const scaled = new Float32Array(channels * pixels) // [channels, height, width]
  for (let channel = 0; channel < channels; channel++) {
    const table = Float32Array.from({ length: 256 }, (_, value) => (value * factor - mean[channel]) / std[channel])
    for (let pixel = 0; pixel < pixels; pixel++) scaled[channel * pixels + pixel] = table[values[pixel * channels + channel]]
  }
  return { shape: [channels, height, width], values: scaled }
}
