import type { Batch, Task } from '../../types.js'
import type { NetworkInfo, Networks } from '../network.js'
import { causalLm } from './causal-lm.js'
import { imageClassification } from './image-classification.js'
import { seq2seqLm } from './seq2seq-lm.js'
import { sequenceClassification } from './sequence-classification.js'
import type { TaskDefinition } from './task.js'

const DEFINITIONS: { readonly [T in Task]: TaskDefinition<Networks[T]> } = {
  CAUSAL_LM: causalLm,
  SEQ_CLS: sequenceClassification,
  SEQ_2_SEQ_LM: seq2seqLm,
  IMAGE_CLS: imageClassification
}

/** What a task is, for the network that has it. */
export function definitionOf (task: Task): TaskDefinition {
  return DEFINITIONS[task]
}

/** @throws {InvalidBatchError} naming the first thing that is wrong for a model of this kind */
export function checkBatch (batch: Batch, info: NetworkInfo): void {
  definitionOf(info.task).check(batch, info)
}

/** What a model of the task predicts one of, for people. */
export function predictedBy (task: Task): 'tokens' | 'rows' {
  return task === 'CAUSAL_LM' || task === 'SEQ_2_SEQ_LM' ? 'tokens' : 'rows'
}

/** Predictions of each row that count in the loss of the batch. */
export function countedByRow (batch: Batch, info: Pick<NetworkInfo, 'task' | 'labels'>): Int32Array {
  const { weights } = definitionOf(info.task).targets(batch, info)
  const counts = new Int32Array(batch.rows)
  for (const [i, weight] of weights.entries()) counts[Math.floor(i * batch.rows / weights.length)] += weight > 0 ? 1 : 0
  return counts
}

/** Predictions of a batch that count in its loss. */
export function countedIn (batch: Batch, info: Pick<NetworkInfo, 'task' | 'labels'>): number {
  return definitionOf(info.task).targets(batch, info).counted
}
