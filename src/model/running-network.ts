import type * as tf from '@tensorflow/tfjs'
import type { Engine } from '../engine/engine.js'
import type { TensorsByName } from '../engine/step.js'
import type { FloatTensor, NamedTensors, TensorData } from '../types.js'
import { type Beside, besideName, besideTap } from './beside.js'
import type { Network, Parameters, Tap } from './network.js'
import { mergedName, parametersOf } from './parameters.js'

/** A network where it runs, and as it is now. */
export interface RunningNetwork<N extends Network = Network> {
  readonly engine: Engine
  readonly network: N
  /** θ + αΔW of merged sites. */
  readonly merged: ReadonlyMap<string, FloatTensor>
  /** What runs beside θ. */
  readonly beside?: Beside
}

/** What of a network is run. Pure; gives tensors of their own, by name. */
type Work = (parameters: Parameters, tap: Tap, tensor: TensorsByName) => Record<string, tf.Tensor>

/**
 * Runs a part of a network forward.
 *
 * @param what names the work: the same name and the same shapes of inputs mean the same
 */
export async function runForward ({ engine, network, merged, beside }: RunningNetwork, what: string, inputs: NamedTensors, work: Work): Promise<NamedTensors<Float32Array>> {
  return await engine.run({
    key: JSON.stringify([what, [...merged.keys()], beside?.key]),
    step: tensor => work(parametersOf(network, tensor, merged), besideTap(beside, tensor), tensor),
    inputs: new Map<string, TensorData>([
      ...inputs,
      ...[...merged].map(([site, tensor]) => [mergedName(site), tensor] as const),
      ...[...beside?.inputs ?? []].map(([name, tensor]) => [besideName(name), tensor] as const)
    ])
  })
}
