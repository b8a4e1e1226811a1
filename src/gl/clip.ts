import * as tf from '@tensorflow/tfjs'
import { squaredNorm } from './squared-norm.js'

export const CLIPS = ['global', 'auxiliary'] as const
/**
 * Whose norm is limited:
 * - `global`: that of all gradients together, which are scaled alike;
 * - `auxiliary`: that of each site's auxiliary by itself.
 */
export type Clip = typeof CLIPS[number]

/** The Euclidean norm of each gradient. */
export async function normsOf (gradients: ReadonlyMap<string, tf.Tensor>): Promise<Map<string, number>> {
  const squares = tf.tidy(() => tf.stack([...gradients.values()].map(squaredNorm))) // [gradients]
  const values = await squares.data<'float32'>()
  squares.dispose()
  return new Map([...gradients.keys()].map((name, i) => [name, Math.sqrt(values[i])]))
}

/**
 * Scales the gradients of each group down to a norm, as `torch.nn.utils.clip_grad_norm_` does. Those of a group that is
 * within it are given back as they are.
 *
 * @param norms of each gradient, see `normsOf`
 * @param groupOf a gradient is in, by its name
 */
export function clipGradients (gradients: ReadonlyMap<string, tf.Tensor>, norms: ReadonlyMap<string, number>, groupOf: (name: string) => string, maxNorm: number): Map<string, tf.Tensor> {
  const groups = new Map<string, number>()
  for (const [name, norm] of norms) groups.set(groupOf(name), Math.hypot(groups.get(groupOf(name)) ?? 0, norm))
  return new Map([...gradients].map(([name, gradient]) => {
    const factor = maxNorm / ((groups.get(groupOf(name)) ?? 0) + 1e-6)
    return [name, factor < 1 ? tf.mul(gradient, factor) : gradient]
  }))
}
