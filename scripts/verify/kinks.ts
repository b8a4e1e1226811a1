import * as tf from '@tensorflow/tfjs'

/** Kernels whose gradient jumps, and how near to that the numbers are which they are given; relative to the largest beside it. */
const JUMPS: Readonly<Record<string, (...inputs: Float32Array[]) => number>> = {
  Relu: x => nearestToZero(x, x),
  Maximum: (a, b) => nearestToZero(a.map((value, i) => value - b[i]), a)
}

/**
 * The least distance to a kink that a computation on the plain backend comes to; infinite where it meets none. Nearer than
 * rounding, two ways of computing the same may go to different sides of it, and so to different gradients.
 */
export function distanceToKink (compute: () => void): number {
  let least = Infinity
  const kernels = Object.keys(JUMPS).map(name => tf.getKernel(name, 'cpu'))
  const watched = kernels.map(kernel => ({
    ...kernel,
    kernelFunc: (call: Parameters<typeof kernel.kernelFunc>[0]) => {
      const given = Object.values(call.inputs).map(input => (call.backend as Pick<tf.KernelBackend, 'readSync'>).readSync((input as tf.TensorInfo).dataId) as Float32Array)
      least = Math.min(least, JUMPS[kernel.kernelName](...given))
      return kernel.kernelFunc(call)
    }
  }))
  replace(watched)
  try {
    compute()
  } finally {
    replace(kernels)
  }
  return least
}

function replace (kernels: readonly tf.KernelConfig[]): void {
  for (const kernel of kernels) {
    tf.unregisterKernel(kernel.kernelName, kernel.backendName)
    tf.registerKernel(kernel)
  }
}

function nearestToZero (values: Float32Array, beside: Float32Array): number {
  let [least, largest] = [Infinity, 0]
  for (const value of values) least = Math.min(least, Math.abs(value))
  for (const value of beside) largest = Math.max(largest, Math.abs(value))
  return least / largest
}
