import * as tf from '@tensorflow/tfjs'
import { type EngineOptions, openEngine } from '../../engine/open-engine.js'
import type { StepRun } from '../../engine/step.js'
import { BackendError, EngineError } from '../../errors.js'
import { type Check, type Finding, failed, ok } from './check.js'

const ADVICE = 'install ONNX Runtime: npm install onnxruntime-node, behind a closed network with ONNXRUNTIME_NODE_INSTALL=skip before it; or name what there is, with --device or --backend'

/** y = x·w, of which every number is exact. */
const PRODUCT: StepRun = {
  key: 'doctor',
  step: tensor => ({ y: tf.matMul(tensor<tf.Tensor2D>('x'), tensor<tf.Tensor2D>('w')) }), // [2, 2]
  inputs: new Map([
    ['x', { shape: [2, 3], values: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ['w', { shape: [3, 2], values: Float32Array.of(1, 0, 0, 1, 2, -1) }]
  ])
}
const RESULT = [7, -1, 16, -1]

/** Whether what is to compute passes is there, and computes. */
export function engineCheck (options: EngineOptions): Check {
  return {
    name: 'engine',
    unended: ADVICE,
    look: async () => {
      const said: string[] = []
      try {
        return await compute(options, said)
      } catch (error) {
        if (!(error instanceof BackendError || error instanceof EngineError)) throw error
        return failed(error.message, ADVICE)
      }
    }
  }
}

async function compute (options: EngineOptions, said: string[]): Promise<Finding> {
  const engine = await openEngine(new Map(), options, line => said.push(line))
  try {
    const values = (await engine.run(PRODUCT)).get('y')?.values ?? []
    if (RESULT.some((value, i) => values[i] !== value)) return failed(`${engine.description} computes ${values.join(', ')} where it should be ${RESULT.join(', ')}`, ADVICE)
    return said.length === 0 ? ok(engine.description) : failed(`${said.join('; ')} (${engine.description})`, ADVICE)
  } finally {
    await engine.dispose()
  }
}
