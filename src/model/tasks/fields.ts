/** Inputs of a pass that more than one task has. */
import type * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../../engine/step.js'
import type { Batch } from '../../types.js'
import { IGNORED_LABEL } from '../loss.js'
import type { Tokens } from '../network.js'
import { integers } from './check.js'
import type { Field, Targets } from './task.js'

/** Tokens of the input, and which of them may be looked at. */
export function tokenFields (batch: Batch): Array<[string, Field]> {
  const { values } = integers(batch, 'input_ids')
  return [
    ['input_ids', { values, axes: 'input', fill: 0 }],
    ['attention_mask', { values: Float32Array.from(integers(batch, 'attention_mask').values), axes: 'input', fill: 0 }],
    ['fill_bias', { values: new Float32Array(values.length), axes: 'input', fill: -Infinity }]
  ]
}

/** What a network takes, of those fields. */
export function tokensFrom (tensor: TensorsByName): Tokens {
  return { inputIds: tensor<tf.Tensor2D>('input_ids'), attentionMask: tensor('attention_mask'), fillBias: tensor('fill_bias') }
}

/** What the loss is taken from. */
export function targetFields ({ values, weights }: Targets, axes: Field['axes']): Array<[string, Field]> {
  return [['targets', { values, axes, fill: 0 }], ['target_weights', { values: weights, axes, fill: 0 }]]
}

/** Labels as they are: one for each prediction, a token or a class. */
export function labelsOf (batch: Batch): Targets {
  const { values } = integers(batch, 'labels')
  const counted = values.filter(label => label !== IGNORED_LABEL).length
  return {
    values: values.map(label => label === IGNORED_LABEL ? 0 : label),
    weights: Float32Array.from(values, label => label === IGNORED_LABEL ? 0 : 1 / counted),
    counted
  }
}
