/** Images in a pass: the pixels of all rows, `[pixels, channels]`, from the left to the right and from the top to the bottom. */
import * as tf from '@tensorflow/tfjs'
import type { ImageSize } from '../network.js'

/** Height and width, in pixels. */
type Size = Pick<ImageSize, 'height' | 'width'>

/**
 * @param images `[rows, channels, height, width]`
 * @returns `[pixels, channels]`
 */
export function pixelsOf (images: tf.Tensor4D): tf.Tensor2D {
  const [, channels] = images.shape
  return tf.reshape(tf.transpose(images, [0, 2, 3, 1]), [-1, channels])
}

/** What `halvePixels` makes of a size; 0 where there is nothing left. */
export function halfOf ({ height, width }: Size): Size {
  return { height: Math.floor(height / 2), width: Math.floor(width / 2) }
}

/**
 * The largest of each 2 by 2 pixels, in each channel; an odd row or column at the end is left out. Where several are the
 * largest the first has the gradient, as in PyTorch: in flat parts of an image all four are.
 *
 * @param x `[pixels, channels]`
 * @returns `[pixels / 4, channels]`
 */
export function halvePixels (x: tf.Tensor2D, size: Size): tf.Tensor2D {
  const [, channels] = x.shape
  const { height, width } = halfOf(size)
  const images = tf.reshape(x, [-1, size.height, size.width, channels])
  const even = tf.slice(images, [0, 0, 0, 0], [images.shape[0], 2 * height, 2 * width, channels])
  const [upper, lower] = tf.split(tf.reshape(even, [-1, 2, width, 2 * channels]), 2, 1) // [rows·height, 1, width, 2·channels]
  const four = [upper, lower].flatMap(half => tf.split(half, 2, -1)) // [rows·height, 1, width, channels]
  return tf.reshape(four.reduce((most, next) => tf.maximum(most, next)), [-1, channels])
}

/**
 * The mean of all pixels of an image.
 *
 * @param x `[pixels, channels]`
 * @returns `[rows, channels]`
 */
export function meanOfPixels (x: tf.Tensor2D, { height, width }: Size): tf.Tensor2D {
  const [, channels] = x.shape
  return tf.mean(tf.reshape(x, [-1, height * width, channels]), 1)
}
