import * as tf from '@tensorflow/tfjs'
import { startBackend } from '../../src/engine/backend.js'

/** The cases around it run on TensorFlow.js's plain backend, which has gradients of convolutions; others go on on theirs. */
export function onPlainBackend (): void {
  let others: string

  before(async () => {
    await startBackend()
    others = tf.getBackend()
    await tf.setBackend('cpu')
  })
  after(async () => { await tf.setBackend(others) })
}
