import * as tf from '@tensorflow/tfjs'
import type { Batches } from '../../data/batches.js'
import { matrixInput } from '../../engine/matrix-input.js'
import type { BaseModel } from '../../model/base-model.js'
import type { FloatTensor, Site } from '../../types.js'

/**
 * The sum of x·xᵀ of each site over batches, `[in, in]`; of a convolution over its patches.
 *
 * @param sites none that embeds
 */
export async function inputMoments (
  model: BaseModel, batches: Batches, sites: readonly Site[], { onProgress, signal }: { readonly onProgress: (done: number, total: number) => void, readonly signal: AbortSignal }
): Promise<Map<string, FloatTensor>> {
  const sums = new Map(sites.map(({ name, inFeatures }) => [name, tf.variable<tf.Rank.R2>(tf.zeros([inFeatures, inFeatures]))]))
  try {
    for (let i = 0; i < batches.count; i++) {
      signal.throwIfAborted()
      const [{ pairs }] = await model.pass([await batches.at(i)], { sites })
      for (const site of sites) {
        const x = pairs.get(site.name)?.x
        const sum = sums.get(site.name)
        if (x === undefined || sum === undefined) continue
        tf.tidy(() => {
          const input = matrixInput(site, tf.tensor2d(x.values, x.shape as [number, number])) // [places, in]
          sum.assign(tf.add(sum, tf.matMul(input, input, true)))
        })
      }
      onProgress(i + 1, batches.count)
    }
    return new Map(await Promise.all([...sums].map(async ([name, sum]) => [name, { shape: sum.shape, values: (await sum.data<'float32'>()).slice() }] as const)))
  } finally {
    tf.dispose([...sums.values()])
  }
}

/** ‖(W − W′)·X‖ / ‖W·X‖ (Frobenius): how far the outputs are moved on the data. */
export async function outputError ({ shape, values }: FloatTensor, other: FloatTensor, moment: FloatTensor): Promise<number> {
  const ratio = tf.tidy(() => {
    const [w, xx] = [tf.tensor2d(values, shape as [number, number]), tf.tensor2d(moment.values, moment.shape as [number, number])]
    const size = (matrix: tf.Tensor2D): tf.Tensor => tf.sum(tf.mul(tf.matMul(matrix, xx), matrix)) // tr(M·XXᵀ·Mᵀ)
    return tf.sqrt(tf.divNoNan(tf.relu(size(tf.sub(w, tf.tensor2d(other.values, shape as [number, number])))), size(w)))
  })
  const [error] = await ratio.data<'float32'>()
  ratio.dispose()
  return error
}
