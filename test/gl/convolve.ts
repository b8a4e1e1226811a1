import * as tf from '@tensorflow/tfjs'
import type { Convolution, Site } from '../../src/types.js'

/** A site of each kind: patches that overlap, and patches that touch. */
export const CONVOLUTIONS: readonly Site[] = [
  { name: 'convs.0', inFeatures: 27, outFeatures: 4, convolution: { channels: 3, height: 4, width: 5, kernel: [3, 3], stride: [1, 1], padding: [1, 1] } },
  { name: 'projection', inFeatures: 12, outFeatures: 7, convolution: { channels: 2, height: 5, width: 6, kernel: [2, 3], stride: [2, 3], padding: [0, 0] } }
]

/**
 * TensorFlow.js's own convolution; only the backend `cpu` has its gradients.
 *
 * @param x `[pixels, channels]`
 * @param w `[out, in]`, rows of it in PyTorch's order: channel, y, x
 * @returns `[patches, out]`
 */
export function convolve ({ channels, height, width, kernel, stride, padding: [top, left] }: Convolution, x: tf.Tensor2D, w: tf.Tensor2D): tf.Tensor2D {
  const [outFeatures] = w.shape
  const images = tf.reshape<tf.Rank.R4>(x, [-1, height, width, channels])
  const filter = tf.transpose<tf.Tensor4D>(tf.reshape(w, [outFeatures, channels, ...kernel]), [2, 3, 1, 0])
  const padded = tf.pad<tf.Tensor4D>(images, [[0, 0], [top, top], [left, left], [0, 0]])
  return tf.reshape(tf.conv2d(padded, filter, [...stride], 'valid'), [-1, outFeatures])
}
