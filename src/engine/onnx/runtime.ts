import { createRequire } from 'node:module'
import type * as ort from 'onnxruntime-node'

export type Runtime = typeof ort
export type Session = ort.InferenceSession

/** ONNX Runtime, which is an optional package. @throws where it is not installed, or has no binary for this machine */
export function loadRuntime (): Runtime {
  return createRequire(import.meta.url)('onnxruntime-node') as Runtime // through require, so that nobody asks for it before
}
