import * as tf from '@tensorflow/tfjs'

type Kernel = tf.KernelConfig['kernelFunc']

/**
 * The WebAssembly backend multiplies through XNNPACK only where nothing is transposed and there is no batch;
 * everything else takes a plain loop, measured 4 to 30 times slower per product. Gradients of products are always
 * transposed, and attention is always batched. So we bring each product into the fast form first: transposing and
 * slicing copy the operands, which costs little beside the product.
 *
 * Call once, after the backend is ready.
 */
export function speedUpWasmMatMul (): void {
  const original = tf.getKernel('BatchMatMul', 'wasm')
  tf.unregisterKernel('BatchMatMul', 'wasm')
  tf.registerKernel({ ...original, kernelFunc: inFastForm(original.kernelFunc) })
}

function inFastForm (kernel: Kernel): Kernel {
  return call => {
    const { a, b } = call.inputs as { a: tf.Tensor, b: tf.Tensor }
    const { transposeA, transposeB } = call.attrs as { transposeA: boolean, transposeB: boolean }
    const batch = a.shape.slice(0, -2)
    if (batch.join() !== b.shape.slice(0, -2).join()) return kernel(call) // one operand is broadcast

    const multiply = (left: tf.Tensor2D, right: tf.Tensor2D): tf.Tensor => tf.engine().makeTensorFromTensorInfo(
      kernel({ inputs: { a: left, b: right }, attrs: { transposeA: false, transposeB: false }, backend: call.backend }) as tf.TensorInfo)
    return tf.tidy(() => {
      const left = matrices(a, transposeA) // [m, k] each
      const right = matrices(b, transposeB) // [k, n] each
      const products = left.map((matrix, i) => multiply(matrix, right[i])) // [m, n] each
      const stacked = products.length === 1 ? products[0] : tf.concat(products, 0)
      return tf.reshape(stacked, [...batch, ...products[0].shape])
    })
  }
}

/** The matrices that a batch of any rank holds, transposed if asked for. */
function matrices (x: tf.Tensor, transposed: boolean): tf.Tensor2D[] {
  const shape = x.shape.slice(-2) as [number, number]
  const upright = x.size === shape[0] * shape[1]
    ? [tf.reshape<tf.Rank.R2>(x, shape)]
    : tf.unstack(tf.reshape(x, [-1, ...shape])) as tf.Tensor2D[]
  return transposed ? upright.map(matrix => tf.transpose(matrix)) : upright
}
