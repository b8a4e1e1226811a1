/** What of a batch is checked for more than one task. Each names the first thing that is wrong, in an InvalidBatchError. */
import { InvalidBatchError } from '../../errors.js'
import type { Batch, FloatTensor, TensorData } from '../../types.js'
import { IGNORED_LABEL } from '../loss.js'
import type { NetworkInfo } from '../network.js'

/** The tensors that a task takes, and no others. */
export function checkNames ({ rows, tensors }: Batch, required: readonly string[], optional: readonly string[] = []): void {
  const accepted = [...required, ...optional]
  for (const name of required) {
    if (!tensors.has(name)) throw new InvalidBatchError(`a batch for this model has ${required.join(', ')}; ${name} is missing`)
  }
  for (const [name, { shape, values }] of tensors) {
    if (!accepted.includes(name)) throw new InvalidBatchError(`a batch for this model has ${accepted.join(', ')}; ${name} is none of them`)
    if (shape[0] !== rows || rows < 1) throw new InvalidBatchError(`${name} is [${shape.join(', ')}] in a batch of ${rows} rows; there is at least one, and as many in each tensor`)
    const size = shape.reduce((product, own) => product * own, 1)
    if (size !== values.length) throw new InvalidBatchError(`${name} has ${values.length} values, [${shape.join(', ')}] needs ${size}`)
  }
}

/** `input_ids` and `attention_mask`, `[rows, length]`. */
export function checkTokens (batch: Batch, { positions, vocabSize }: NetworkInfo): void {
  const ids = integers(batch, 'input_ids')
  if (ids.shape.length !== 2 || ids.values.length === 0) throw new InvalidBatchError(`input_ids is [${ids.shape.join(', ')}]; [rows, length] is needed, with at least one token`)
  const [, length] = ids.shape
  checkLength('rows', length, positions)
  checkSame(batch, 'attention_mask')
  checkRange(ids, 'input_ids', vocabSize)
  checkRange(integers(batch, 'attention_mask'), 'attention_mask', 2)
}

/** Whether a tensor is as `input_ids` is. */
export function checkSame (batch: Batch, name: string): void {
  const [own, ids] = [integers(batch, name), integers(batch, 'input_ids')]
  if (own.shape.join() !== ids.shape.join()) throw new InvalidBatchError(`${name} is [${own.shape.join(', ')}], input_ids is [${ids.shape.join(', ')}]; both must have the same shape`)
}

export function checkLength (what: string, length: number, positions: number): void {
  if (length > positions) throw new InvalidBatchError(`${what} of ${length} tokens, this model has ${positions} positions; use a length of at most ${positions}`)
}

/** Values from 0 to below a number; of labels also the ignored one. */
export function checkRange ({ shape, values }: TensorData, name: string, count: number): void {
  const ignored = name === 'labels'
  const wrong = values.findIndex(value => (value < 0 || value >= count) && !(ignored && value === IGNORED_LABEL))
  if (wrong === -1) return
  const [, length] = shape
  const place = shape.length === 1 ? `row ${wrong}` : `row ${Math.floor(wrong / length)} at position ${wrong % length}`
  throw new InvalidBatchError(`${name}: ${values[wrong]} in ${place}; accepted: 0 to ${count - 1}${ignored ? `, or ${IGNORED_LABEL}` : ''}`)
}

/** One label a row: a class, or where the model gives a number any that is finite. */
export function checkRowLabels (batch: Batch, { labels }: NetworkInfo): void {
  const { shape, values } = tensorOf(batch, 'labels')
  if (shape.length !== 1) throw new InvalidBatchError(`labels is [${shape.join(', ')}]; this model takes one label a row, [rows]`)
  if (labels.length > 0) checkRange(integers(batch, 'labels'), 'labels', labels.length)
  if (!values.every(Number.isFinite)) throw new InvalidBatchError('labels: a number that is not finite')
}

export function integers (batch: Batch, name: string): TensorData<Int32Array> {
  const { shape, values } = tensorOf(batch, name)
  if (!(values instanceof Int32Array)) throw new InvalidBatchError(`${name} holds floats; integers are needed`)
  return { shape, values }
}

export function floats (batch: Batch, name: string): FloatTensor {
  const { shape, values } = tensorOf(batch, name)
  if (!(values instanceof Float32Array)) throw new InvalidBatchError(`${name} holds integers; floats are needed`)
  return { shape, values }
}

export function tensorOf ({ tensors }: Batch, name: string): TensorData {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new InvalidBatchError(`${name} is missing`)
  return tensor
}
