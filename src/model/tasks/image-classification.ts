import type * as tf from '@tensorflow/tfjs'
import { InvalidBatchError } from '../../errors.js'
import type { ImageClassifier } from '../network.js'
import { checkNames, checkRowLabels, floats } from './check.js'
import { labelsOf, targetFields } from './fields.js'
import type { TaskDefinition } from './task.js'

/** An image has a class. */
export const imageClassification: TaskDefinition<ImageClassifier> = {
  check: (batch, info) => {
    checkNames(batch, ['pixel_values', 'labels'])
    const { shape, values } = floats(batch, 'pixel_values')
    const { channels, height, width } = info.image ?? { channels: 0, height: 0, width: 0 }
    if (shape.slice(1).join() !== [channels, height, width].join()) {
      throw new InvalidBatchError(`pixel_values is [${shape.join(', ')}]; this model takes [rows, ${channels}, ${height}, ${width}]`)
    }
    if (!values.every(Number.isFinite)) throw new InvalidBatchError('pixel_values: a number that is not finite')
    checkRowLabels(batch, info)
  },
  targets: labelsOf,
  fields: batch => {
    const { shape: [, ...axes], values } = floats(batch, 'pixel_values')
    return new Map([['pixel_values', { values, axes, fill: 0 }], ...targetFields(labelsOf(batch), [])])
  },
  logits: (network, parameters, tensor, tap) => network.logits(parameters, tensor<tf.Tensor4D>('pixel_values'), tap) // [rows, labels]
}
