import * as tf from '@tensorflow/tfjs'
import { outputSize } from '../places.js'
import type { Convolution, Site } from '../types.js'

/**
 * What the matrix of a module multiplies: x_m as it is, or of a convolution its patches. Differentiable. Of an embedding the
 * tokens stay in place of the rows of zeros and a 1 that they stand for: see `matrix-product.ts`.
 *
 * @param x `[places, in]`; of a convolution `[pixels, channels]`; of an embedding integers, `[places, 1]`
 * @returns `[places, in]`; of an embedding `[places, 1]`
 */
export function matrixInput ({ convolution }: Site, x: tf.Tensor2D): tf.Tensor2D {
  return convolution === undefined ? x : unfold(convolution, x)
}

/** The patches of images, a row each, in the order of PyTorch's `unfold`: channel, y, x. */
function unfold (convolution: Convolution, x: tf.Tensor2D): tf.Tensor2D {
  const { channels, height, width, kernel: [down, across], stride, padding: [top, left] } = convolution
  const images = tf.reshape<tf.Rank.R4>(x, [-1, height, width, channels]) // [rows, height, width, channels]
  if (top + left === 0 && stride[0] === down && stride[1] === across) return tiles(convolution, images)
  const padded = top + left === 0 ? images : tf.pad<tf.Tensor4D>(images, [[0, 0], [top, top], [left, left], [0, 0]])
  const offsets = Array.from({ length: down * across }, (_, i) => [Math.floor(i / across), i % across] as const)
  const parts = offsets.map(offset => everyStride(convolution, padded, offset)) // [patches, channels] each
  return tf.reshape(tf.stack(parts, -1), [-1, channels * down * across]) // [patches, channels·kernel]
}

/** Patches that touch one another, as `unfold` gives them: nothing but another order of the pixels. */
function tiles (convolution: Convolution, images: tf.Tensor4D): tf.Tensor2D {
  const { channels, kernel: [down, across] } = convolution
  const [outHeight, outWidth] = outputSize(convolution)
  const covered = tf.slice(images, [0, 0, 0, 0], [images.shape[0], outHeight * down, outWidth * across, channels])
  const cells = tf.reshape(covered, [-1, down, outWidth, across, channels]) // [rows·height', down, width', across, channels]
  return tf.reshape(tf.transpose(cells, [0, 2, 4, 1, 3]), [-1, channels * down * across])
}

/** Of each patch the pixel at one place, `[patches, channels]`. */
function everyStride (convolution: Convolution, padded: tf.Tensor4D, [y, x]: readonly [number, number]): tf.Tensor2D {
  const { channels, stride: [down, across] } = convolution
  const [rows, height, width] = padded.shape
  const [outHeight, outWidth] = outputSize(convolution)
  const [spanDown, spanAcross] = [outHeight * down, outWidth * across]
  // a stride is a grid of cells, of which the first of each is taken; zeros fill up the last
  const [below, beside] = [Math.max(0, y + spanDown - height), Math.max(0, x + spanAcross - width)]
  const wide = below + beside === 0 ? padded : tf.pad<tf.Tensor4D>(padded, [[0, 0], [0, below], [0, beside], [0, 0]])
  const window = tf.slice(wide, [0, y, x, 0], [rows, spanDown, spanAcross, channels])
  if (down * across === 1) return tf.reshape(window, [-1, channels])
  const cells = tf.reshape(window, [rows, outHeight, down, outWidth, across * channels]) // [rows, height', down, width', across·channels]
  return tf.reshape(tf.slice(cells, [0, 0, 0, 0, 0], [rows, outHeight, 1, outWidth, channels]), [-1, channels])
}
