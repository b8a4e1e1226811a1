import * as tf from '@tensorflow/tfjs'
import type { AuxiliaryKind, AuxiliarySpec, Site } from '../../src/types.js'

/** What a module is and gives without what is beside it. */
export interface Module {
  /** f(x), `[places, out]`. */
  readonly output: tf.Tensor2D
  /** `[out, in]` */
  readonly weight: tf.Tensor2D
}

/** One site of one pass, with the auxiliary that stands at it. */
interface Place extends Module {
  /** What the module's matrix multiplies, `[places, in]`, see `matrixRows`. */
  readonly x: tf.Tensor2D
  /** α of the equations. */
  readonly alpha: number
  /** By PEFT's names, where it has one. */
  readonly parameter: <T extends tf.Tensor = tf.Tensor2D>(name: string) => T
}

type Formula = (place: Place) => tf.Tensor2D

/** What each kind of auxiliary adds to the output of its module: Δh `[places, out]`, written out, α included. */
const FORMULAS: Readonly<Partial<Record<string, Formula>>> = {
  'low-rank': ({ x, alpha, parameter }) => tf.mul(product(product(x, parameter('lora_A.weight')), parameter('lora_B.weight')), alpha), // α·B·A·x
  linear: ({ x, alpha, parameter }) => tf.mul(product(x, parameter('weight')), alpha), // α·W·x
  mlp: ({ x, alpha, parameter }) => {
    const layer = (n: number, input: tf.Tensor2D): tf.Tensor2D => tf.add<tf.Tensor2D>(product(input, parameter(`layers.${n}.weight`)), parameter<tf.Tensor1D>(`layers.${n}.bias`))
    return tf.mul<tf.Tensor2D>(layer(2, tf.relu(layer(1, tf.relu(layer(0, x))))), alpha)
  },
  ia3: ({ output, alpha, parameter }) => tf.mul(tf.sub(tf.mul(output, tf.transpose(parameter('ia3_l'))), output), alpha), // α·(l ⊙ f(x) − f(x))
  dora: ({ x, weight, alpha, parameter }) => { // m ⊙ Vx/‖V‖ − Wx with V = W + αBA, ‖V‖ a constant
    const changed = tf.add<tf.Tensor2D>(weight, tf.mul(tf.dot(parameter('lora_B.weight'), parameter('lora_A.weight')), alpha)) // [out, in]
    const norm = tf.tensor1d(tf.norm(changed, 'euclidean', 1).dataSync<'float32'>()) // [out]
    return tf.sub(tf.mul(product(x, changed), tf.div(parameter<tf.Tensor1D>('lora_magnitude_vector'), norm)), product(x, weight))
  }
} satisfies Record<AuxiliaryKind, Formula>

/** The formula of a kind; one that has none is an error, and is never left out. */
export function formulaOf (kind: AuxiliaryKind): Formula {
  const formula = FORMULAS[kind]
  if (formula === undefined) throw new Error(`auxiliaries of kind ${kind} have no formula in scripts/verify/formulas.ts; without one nothing can be said of them`)
  return formula
}

/** α of the equations at a site: PEFT's `lora_alpha` divided by the rank, or where it is rank-stabilised by its root. */
export function alphaAt ({ rank, alpha, ranks = {}, alphas = {}, rankStabilised }: AuxiliarySpec, site: string): number {
  const [ownRank, ownAlpha] = [site in ranks ? ranks[site] : rank, site in alphas ? alphas[site] : alpha]
  return ownAlpha / (rankStabilised === true ? Math.sqrt(ownRank) : ownRank)
}

/** x·Wᵀ */
function product (x: tf.Tensor2D, weight: tf.Tensor2D): tf.Tensor2D {
  return tf.dot(x, tf.transpose(weight)) as tf.Tensor2D
}

/**
 * The rows that a module's matrix multiplies, made in another way than a pass makes them: tokens as rows of zeros with a 1,
 * and patches by a convolution whose filters pick one value each. Only the backend `cpu` has that one's gradients.
 *
 * @param x see `SitePair`
 * @returns `[places, in]`
 */
export function matrixRows ({ convolution, embedding = false, inFeatures }: Site, x: tf.Tensor2D): tf.Tensor2D {
  if (embedding) return tf.oneHot(tf.reshape<tf.Rank.R1>(x, [-1]), inFeatures, 1, 0, 'float32') as tf.Tensor2D
  if (convolution === undefined) return x
  const { channels, height, width, kernel, stride, padding: [top, left] } = convolution
  const images = tf.pad<tf.Tensor4D>(tf.reshape(x, [-1, height, width, channels]), [[0, 0], [top, top], [left, left], [0, 0]])
  const filters = tf.transpose<tf.Tensor4D>(tf.reshape(tf.eye(inFeatures), [channels, ...kernel, inFeatures]), [1, 2, 0, 3]) // [down, across, channels, in]
  return tf.reshape(tf.conv2d(images, filters, [...stride], 'valid'), [-1, inFeatures])
}
