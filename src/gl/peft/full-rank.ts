/** A linear auxiliary as a LoRA of full rank, which PEFT has, and back. */
import { InvalidAdapterError } from '../../errors.js'
import type { AuxiliaryTensors, FloatTensor } from '../../types.js'

/** W `[out, in]` as B·A of full rank: one factor is W, the other an identity. */
export function factorsOf (own: AuxiliaryTensors): AuxiliaryTensors {
  const weight = parameter(own, 'weight')
  const [outFeatures, inFeatures] = weight.shape
  return inFeatures <= outFeatures
    ? new Map([['lora_A.weight', identity(inFeatures)], ['lora_B.weight', weight]])
    : new Map([['lora_A.weight', weight], ['lora_B.weight', identity(outFeatures)]])
}

/** The other way: the factor that is not an identity. */
export function productOf (own: AuxiliaryTensors): AuxiliaryTensors {
  const a = parameter(own, 'lora_A.weight')
  const b = parameter(own, 'lora_B.weight')
  return new Map([['weight', a.shape[1] <= b.shape[0] ? b : a]])
}

function parameter (own: AuxiliaryTensors, name: string): FloatTensor {
  const tensor = own.get(name)
  if (tensor === undefined) throw new InvalidAdapterError(`${name} is missing; there are: ${[...own.keys()].join(', ')}`)
  return tensor
}

function identity (size: number): FloatTensor {
  const values = new Float32Array(size * size)
  for (let i = 0; i < size; i++) values[i * size + i] = 1
  return { shape: [size, size], values }
}
