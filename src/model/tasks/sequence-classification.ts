import type * as tf from '@tensorflow/tfjs'
import type { Batch } from '../../types.js'
import type { NetworkInfo, SequenceClassifier } from '../network.js'
import { checkNames, checkRange, checkRowLabels, checkSame, checkTokens, integers, tensorOf } from './check.js'
import { labelsOf, targetFields, tokenFields, tokensFrom } from './fields.js'
import type { Targets, TaskDefinition } from './task.js'

/** A text, or two, has a class or a number. */
export const sequenceClassification: TaskDefinition<SequenceClassifier> = {
  check: (batch, info) => {
    checkNames(batch, ['input_ids', 'attention_mask', 'labels'], ['token_type_ids'])
    checkTokens(batch, info)
    if (batch.tensors.has('token_type_ids')) {
      checkSame(batch, 'token_type_ids')
      checkRange(integers(batch, 'token_type_ids'), 'token_type_ids', info.tokenTypes ?? 1)
    }
    checkRowLabels(batch, info)
  },
  targets: targetsOf,
  fields: (batch, { info }) => {
    const { shape: [rows, length] } = integers(batch, 'input_ids')
    const types = batch.tensors.get('token_type_ids')?.values ?? new Int32Array(rows * length)
    return new Map([
      ...tokenFields(batch),
      ['token_type_ids', { values: types, axes: 'input', fill: 0 }],
      ...targetFields(targetsOf(batch, info), [])
    ])
  },
  logits: (network, parameters, tensor, tap) => network.logits(parameters, tokensFrom(tensor), tensor<tf.Tensor2D>('token_type_ids'), tap) // [rows, labels]
}

function targetsOf (batch: Batch, { labels }: Pick<NetworkInfo, 'labels'>): Targets {
  if (labels.length > 0) return labelsOf(batch)
  const { values } = tensorOf(batch, 'labels')
  return { values: Float32Array.from(values), weights: new Float32Array(values.length).fill(1 / values.length), counted: values.length }
}
