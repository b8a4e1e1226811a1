import * as tf from '@tensorflow/tfjs'
import type { Engine } from '../engine/engine.js'
import type { Step, TensorsByName } from '../engine/step.js'
import type { FloatTensor, NamedTensors } from '../types.js'
import type { Network } from './network.js'
import { siteMatrix } from './parameters.js'

/** ΔW `[out, in]` of a site's module before it is scaled: as a matrix, or as the product B·A of its factors. */
export type WeightChange = Change & {
  readonly scale: number
  /** Whether it stands in for θ, so that nothing is added to it: ΔW is then what it is less θ. @default false */
  readonly instead?: boolean
}

type Change =
  | { readonly weight: FloatTensor }
  /** A `[R, in]`, B `[out, R]` */
  | { readonly a: FloatTensor, readonly b: FloatTensor }

/** θ + scale·ΔW of each site, in the layout of θ; always from the pristine θ, so that nothing drifts. */
export async function mergedWeights (engine: Engine, network: Network, changes: ReadonlyMap<string, WeightChange>): Promise<NamedTensors<Float32Array>> {
  if (changes.size === 0) return new Map()
  const results = await engine.run({
    key: JSON.stringify(['merge', [...changes].map(([site, { scale, instead = false }]) => [site, scale, instead])]),
    step: mergeStep(network, changes),
    inputs: changeInputs(changes)
  })
  return new Map([...changes.keys()].flatMap(site => {
    const merged = results.get(`merged.${site}`)
    return merged === undefined ? [] : [[site, merged]]
  }))
}

function mergeStep (network: Network, changes: ReadonlyMap<string, WeightChange>): Step {
  return tensor => Object.fromEntries([...changes].map(([site, change]) => [`merged.${site}`, changedWeight(network, site, change, tensor)]))
}

/** The names under which a step that changes weights gets what it changes them by. */
export function changeInputs (changes: ReadonlyMap<string, WeightChange>): Map<string, FloatTensor> {
  return new Map([...changes].flatMap(([site, change]): Array<[string, FloatTensor]> => 'weight' in change
    ? [[`weight.${site}`, change.weight]]
    : [[`a.${site}`, change.a], [`b.${site}`, change.b]]))
}

/** θ + scale·ΔW of one site, in the layout of θ. */
export function changedWeight (network: Network, site: string, change: WeightChange, tensor: TensorsByName): tf.Tensor2D {
  const transposed = network.siteWeight(site).layout === 'in-out'
  const delta = 'weight' in change
    ? (transposed ? tf.transpose(tensor<tf.Tensor2D>(`weight.${site}`)) : tensor<tf.Tensor2D>(`weight.${site}`))
    : productOf(tensor(`a.${site}`), tensor(`b.${site}`), transposed)
  const scaled = tf.mul<tf.Tensor2D>(delta, change.scale)
  return change.instead === true ? scaled : tf.add(siteMatrix(network, site, tensor), scaled)
}

/** B·A `[out, in]`, or its transpose. */
function productOf (a: tf.Tensor2D, b: tf.Tensor2D, transposed: boolean): tf.Tensor2D {
  return transposed ? tf.matMul(a, b, true, true) : tf.matMul(b, a)
}
