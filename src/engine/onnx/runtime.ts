import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type * as ort from 'onnxruntime-node'

export type Runtime = typeof ort
export type Session = ort.InferenceSession

const require = createRequire(import.meta.url)

/** ONNX Runtime, which is an optional package. @throws where it is not installed, or has no binary for this machine */
export function loadRuntime (): Runtime {
  return require('onnxruntime-node') as Runtime // through require, so that nobody asks for it before
}

/** Whether the library that CUDA takes, which is installed apart, lies beside ONNX Runtime's own. */
export function hasCudaProvider (): boolean {
  const binaries = join(dirname(require.resolve('onnxruntime-node')), '..', 'bin')
  return readdirSync(binaries, { recursive: true, encoding: 'utf8' })
    .some(path => path.includes(join(process.platform, process.arch)) && path.includes('providers_cuda'))
}
