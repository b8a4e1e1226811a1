import * as tf from '@tensorflow/tfjs'
import type { ModuleResult } from '../auxiliary-spec.js'
import type { TensorsByName } from '../engine/step.js'
import type { NamedTensors, Site } from '../types.js'
import type { Tap } from './network.js'

/** Unmerged auxiliaries, which run beside the base model. */
export interface Beside {
  /** Names what `apply` does: the same name and the same shapes of inputs mean the same work. */
  readonly key: string
  /** What it works on, by names of its own. */
  readonly inputs: NamedTensors
  /** α·g(x) `[places, out]`, which is added to the site's output; undefined where there is none. Pure. */
  readonly apply: (site: Site, x: tf.Tensor2D, tensor: TensorsByName, given: Readonly<Record<ModuleResult, tf.Tensor2D>>) => tf.Tensor2D | undefined
}

/** The name under which a step gets one of their inputs. */
export function besideName (name: string): string {
  return `beside.${name}`
}

/** Adds them to the outputs of their sites. */
export function besideTap (beside: Beside | undefined, tensor: TensorsByName): Tap {
  return (site, x, output, product) => {
    const own = beside?.apply(site, x, <T extends tf.Tensor>(name: string) => tensor<T>(besideName(name)), { output, product }) // [places, out]
    return own === undefined ? output : tf.add(output, own)
  }
}
