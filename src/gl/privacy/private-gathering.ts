import * as tf from '@tensorflow/tfjs'
import { InvalidTensorError } from '../../errors.js'
import { SECRET_BYTES } from '../../tensor/secret-stream.js'
import type { NamedTensors, TensorData } from '../../types.js'
import type { SeenBeside } from '../auxiliary-definition.js'
import type { FittedAuxiliary } from '../fitted-auxiliary.js'
import { gaussianNoise } from './gaussian-noise.js'

export interface PrivateFits {
  /** C: the most that the gradient of one row counts for, as the norm of all parameters together. */
  readonly clip: number
  /** σ: the noise of a fit has a deviation of σ·C. */
  readonly noiseMultiplier: number
  /** Rows in a batch, on average. */
  readonly batchSize: number
  /** Decides the noise, see `secretNumbers`. */
  readonly secret: Uint8Array
}

const SECRET = 'private.secret'

/**
 * DP-SGD (Abadi et al. 2016, arXiv 1607.00133, Algorithm 1) from adaptation data: what the rows of batches do to the
 * auxiliaries, each row clipped to a norm of C, and noise for their sum.
 *
 * A row's gradient is that of its own mean loss, so that it depends on no other row. The host's loss is the mean over all
 * predictions of the batch that count, T, and no row sees another: ∇ĥ of a row with n of them is taken times T/n.
 */
export class PrivateGathering {
  readonly #fits: PrivateFits
  /** T/n of each row of the batch that is arriving, and 0 where n is 0; undefined where none is. */
  #weights: Float32Array | undefined
  /** What has come of it, ∇ĥ weighted. */
  readonly #arrived = new Map<FittedAuxiliary, { readonly x: tf.Tensor2D, readonly gradient: tf.Tensor2D, readonly seen: SeenBeside }>()
  /** Squared norms of its rows' gradients, over what has come, `[rows]`. */
  #squares: tf.Tensor1D | undefined

  constructor (fits: PrivateFits) {
    this.#fits = fits
  }

  /** Whether a batch has begun that has no rows. */
  get empty (): boolean { return this.#weights?.length === 0 }

  /** A batch begins. @param counts of each row, the predictions that count in the loss */
  begin (counts: Int32Array): void {
    this.drop()
    const all = counts.reduce((sum, count) => sum + count, 0)
    this.#weights = Float32Array.from(counts, count => count === 0 ? 0 : all / count)
  }

  /**
   * Takes the pairs of one site, of which it keeps tensors of its own.
   *
   * @param x see `SitePair`
   * @param gradient ∇ĥ `[places, out]`
   * @param seen what else the auxiliary is fitted from
   * @throws {InvalidTensorError} if they are not those of so many rows
   */
  add (auxiliary: FittedAuxiliary, x: tf.Tensor2D, gradient: tf.Tensor2D, seen: SeenBeside = {}): void {
    const weights = this.#weights ?? new Float32Array()
    const { length: rows } = weights
    if (rows === 0 || x.shape[0] % rows + gradient.shape[0] % rows !== 0) {
      throw new InvalidTensorError(`${auxiliary.site.name}: x has ${x.shape[0]} places, its gradient ${gradient.shape[0]}; they are not those of ${rows} rows`)
    }
    const weighted = tf.tidy(() => scaledRows(gradient, tf.tensor1d(weights)))
    const { output, norm } = seen
    this.#arrived.set(auxiliary, { x: tf.clone(x), gradient: weighted, seen: { ...(output && { output: tf.clone(output) }), ...(norm && { norm: tf.clone(norm) }) } })
    const before = this.#squares
    this.#squares = tf.tidy(() => {
      const own = auxiliary.squaredNorms(x, weighted, rows, seen) // [rows]
      return before === undefined ? own : tf.add<tf.Tensor1D>(before, own)
    })
    before?.dispose()
  }

  /**
   * Σ of the rows' gradients, each clipped, by site and parameter. The batch is over. The tensors belong to the caller.
   *
   * @param auxiliaries all that there are, of which each is given its sums
   */
  end (auxiliaries: Iterable<FittedAuxiliary>): Map<string, tf.Tensor> {
    const sums = tf.tidy(() => {
      const shares = this.#shares()
      return Object.fromEntries([...auxiliaries].flatMap(auxiliary => {
        const { site, parameters } = auxiliary
        const own = this.#arrived.get(auxiliary)
        const gradients: Iterable<[string, tf.Tensor]> = own === undefined || shares === undefined
          ? [...parameters].map(([name, { shape }]) => [name, tf.zeros(shape)])
          : auxiliary.gradients(own.x, scaledRows(own.gradient, shares), own.seen)
        return [...gradients].map(([name, gradient]) => [`${site.name}.${name}`, gradient] as const)
      }))
    })
    this.drop()
    return new Map(Object.entries(sums))
  }

  /** Forgets what has come of a batch. */
  drop (): void {
    for (const { x, gradient, seen } of this.#arrived.values()) tf.dispose([x, gradient, ...Object.values(seen) as tf.Tensor[]])
    this.#arrived.clear()
    this.#squares?.dispose()
    this.#squares = undefined
    this.#weights = undefined
  }

  /**
   * What a fit is made from: the sums of its rows with noise of N(0, σ²C²) on each value, over the rows of a batch as they
   * are on average. The tensors belong to the caller.
   *
   * @param fit from 0; the same fit has the same noise
   */
  noised (sums: ReadonlyMap<string, tf.Tensor>, fit: number): Map<string, tf.Tensor> {
    const { clip, noiseMultiplier, batchSize, secret } = this.#fits
    const noise = gaussianNoise(secret, fit, noiseMultiplier * clip)
    const inOrder = [...sums].sort(([a], [b]) => a < b ? -1 : 1) // a restored state may have another
    return new Map(inOrder.map(([name, sum]) => [name, tf.tidy(() => tf.div(tf.add(sum, tf.tensor(noise(sum.size), sum.shape)), batchSize))]))
  }

  /** What a run needs to go on with the same noise. */
  state (): NamedTensors {
    const { secret } = this.#fits
    return new Map<string, TensorData>([[SECRET, { shape: [SECRET_BYTES], values: Int32Array.from(secret) }]])
  }

  /** min(1, C/‖g‖) of each row; undefined where there is none. */
  #shares (): tf.Tensor1D | undefined {
    return this.#squares === undefined ? undefined : tf.minimum<tf.Tensor1D>(1, tf.div(this.#fits.clip, tf.sqrt(this.#squares)))
  }
}

/** The secret that a state has; undefined where it has none. */
export function secretOf (state: NamedTensors): Uint8Array | undefined {
  const values = state.get(SECRET)?.values
  return values === undefined ? undefined : Uint8Array.from(values)
}

/** Each row's places times a number of the row's own. */
function scaledRows (gradient: tf.Tensor2D, scales: tf.Tensor1D): tf.Tensor2D {
  const byRow = tf.reshape(gradient, [scales.size, -1]) // [rows, places·out]
  return tf.reshape(tf.mul(byRow, tf.expandDims(scales, 1)), gradient.shape)
}
