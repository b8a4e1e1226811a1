import type { Batch } from '../../types.js'
import { IGNORED_LABEL } from '../loss.js'
import type { CausalNetwork } from '../network.js'
import { checkNames, checkRange, checkSame, checkTokens, integers } from './check.js'
import { targetFields, tokenFields, tokensFrom } from './fields.js'
import type { Targets, TaskDefinition } from './task.js'

/** Each token predicts the next. */
export const causalLm: TaskDefinition<CausalNetwork> = {
  check: (batch, info) => {
    checkNames(batch, ['input_ids', 'attention_mask', 'labels'])
    checkTokens(batch, info)
    checkSame(batch, 'labels')
    checkRange(integers(batch, 'labels'), 'labels', info.vocabSize)
  },
  targets: shiftLabels,
  fields: batch => new Map([...tokenFields(batch), ...targetFields(shiftLabels(batch), 'input')]),
  logits: (network, parameters, tensor, tap) => network.logits(parameters, tokensFrom(tensor), tap) // [rows·length, vocabulary]
}

/** Position t predicts the label of t + 1: the shift of transformers' causal language models. */
function shiftLabels (batch: Batch): Targets {
  const { shape: [rows, length], values: labels } = integers(batch, 'labels')
  const values = new Int32Array(labels.length)
  const places: number[] = []
  for (let row = 0; row < rows; row++) {
    for (let t = row * length; t < (row + 1) * length - 1; t++) {
      if (labels[t + 1] === IGNORED_LABEL) continue
      values[t] = labels[t + 1]
      places.push(t)
    }
  }
  const weights = new Float32Array(labels.length)
  for (const t of places) weights[t] = 1 / places.length
  return { values, weights, counted: places.length }
}
