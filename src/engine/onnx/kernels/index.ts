import type { RecordKernel } from '../recorder.js'
import { ELEMENTWISE } from './elementwise.js'
import { PRODUCTS } from './products.js'
import { REDUCTIONS } from './reductions.js'
import { SHAPING } from './shaping.js'

/** Every kernel of TensorFlow.js that can be compiled, and how, under TensorFlow.js's names. */
export const KERNELS: Readonly<Record<string, RecordKernel>> = { ...ELEMENTWISE, ...SHAPING, ...REDUCTIONS, ...PRODUCTS }
