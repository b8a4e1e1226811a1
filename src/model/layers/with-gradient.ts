import * as tf from '@tensorflow/tfjs'

/** What a function gives at x, and how its gradient is made from the one of what it gave. */
interface Differentiable<X extends tf.Tensor, Y extends tf.Tensor, S extends readonly tf.Tensor[] | []> {
  readonly value: Y
  /** Kept from the forward to the backward pass; other tensors are gone then. */
  readonly saved: S
  readonly gradient: (dy: Y, saved: S) => X
}

/** A function of x whose gradient is written out: fewer operations than differentiating each of its own, and fewer tensors kept. */
export function withGradient<X extends tf.Tensor, Y extends tf.Tensor, S extends readonly tf.Tensor[] | []> (x: X, f: (x: X) => Differentiable<X, Y, S>): Y {
  const custom = tf.customGrad((x, save) => {
    const { value, saved, gradient } = f(x as X)
    ;(save as tf.GradSaveFunc)([...saved])
    return { value, gradFunc: (dy, saved) => gradient(dy as Y, saved as unknown as S) }
  })
  return custom(x) as Y
}
