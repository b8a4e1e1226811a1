import * as tf from '@tensorflow/tfjs'
import { InvalidOptionError, InvalidTensorError } from '../errors.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'

/**
 * (IA)³ (arXiv 2205.05638, section 3.3) as PEFT's at modules that are none of its `feedforward_modules`: ĥ = l ⊙ f(x), and so
 * g = (l − 1) ⊙ f(x), f(x) with its bias. l `[out, 1]` is 1 at the start. It changes the bias as well as the weight, so that it runs
 * beside the base model.
 */
export const ia3: AuxiliaryDefinition = {
  shapes: ({ name, outFeatures, embedding = false }) => {
    if (embedding) throw new InvalidOptionError(`${name} embeds tokens, of which PEFT has no (IA)³; leave it out, or use low-rank or linear auxiliaries`)
    return new Map([['ia3_l', [outFeatures, 1]]])
  },
  initial: ({ outFeatures }) => [tf.ones([outFeatures, 1])],
  apply: ({ name }, _, [l], { output }) => {
    if (output === undefined) throw new InvalidTensorError(`${name}: (IA)³ needs what the module gives itself`)
    return tf.mul(output, tf.sub(tf.reshape(l, [-1]), 1)) // [places, out]
  }
}
