import * as tf from '@tensorflow/tfjs'
import { InvalidBatchError } from '../../errors.js'
import type { Batch } from '../../types.js'
import { IGNORED_LABEL } from '../loss.js'
import type { Seq2SeqNetwork } from '../network.js'
import { checkLength, checkNames, checkRange, checkTokens, integers } from './check.js'
import { labelsOf, targetFields, tokenFields, tokensFrom } from './fields.js'
import type { TaskDefinition } from './task.js'

/** A text becomes another: each token of the target is predicted from those before it and the whole input. */
export const seq2seqLm: TaskDefinition<Seq2SeqNetwork> = {
  check: (batch, info) => {
    checkNames(batch, ['input_ids', 'attention_mask', 'labels'])
    checkTokens(batch, info)
    const labels = integers(batch, 'labels')
    if (labels.shape.length !== 2 || labels.values.length === 0) throw new InvalidBatchError(`labels is [${labels.shape.join(', ')}]; [rows, target] is needed, with at least one token`)
    checkLength('targets', labels.shape[1], info.positions)
    checkRange(labels, 'labels', info.vocabSize)
  },
  targets: labelsOf,
  fields: (batch, network) => new Map([
    ...tokenFields(batch),
    ['decoder_input_ids', { values: shiftRight(batch, network), axes: 'target', fill: 0 }],
    ...targetFields(labelsOf(batch), 'target')
  ]),
  logits: (network, parameters, tensor, tap) => {
    const source = tokensFrom(tensor)
    const inputIds = tensor<tf.Tensor2D>('decoder_input_ids') // [rows, target]
    const { shape } = inputIds
    const encoded = network.encode(parameters, source, tap) // [rows·length, width]
    const looked = network.look(parameters, encoded, shape[0], tap)
    // no token sees one after it, and so none sees what fills its row up
    const target = { inputIds, attentionMask: tf.ones<tf.Rank.R2>(shape), fillBias: tf.zeros<tf.Rank.R2>(shape) }
    return network.decode(parameters, target, looked, source, tap) // [rows·target, vocabulary]
  }
}

/** What stands before each label, as transformers' `shift_tokens_right`: first the decoder's start, and padding where a label is ignored. */
function shiftRight (batch: Batch, { decoderStart, padding }: Pick<Seq2SeqNetwork, 'decoderStart' | 'padding'>): Int32Array {
  const { shape: [, target], values } = integers(batch, 'labels')
  return values.map((_, i) => {
    if (i % target === 0) return decoderStart
    return values[i - 1] === IGNORED_LABEL ? padding : values[i - 1]
  })
}
