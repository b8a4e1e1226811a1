/** Parameters as PEFT stores them: of embeddings under other names, of convolutions in other shapes. */
import type { FloatTensor, Site } from '../../types.js'

export function storedName (name: string, site: Site | undefined): string {
  return site?.embedding === true ? name.replace(/^lora_([AB])\.weight$/, 'lora_embedding_$1') : name
}

/** As PEFT stores a parameter: of a convolution as one. */
export function asStored (name: string, { shape, values }: FloatTensor, { convolution }: Partial<Site> = {}): FloatTensor {
  if (convolution === undefined) return { shape, values }
  const [rows, columns] = shape
  if (name === 'ia3_l') return { shape: [1, rows, 1, 1], values }
  return { shape: name === 'lora_A.weight' ? [rows, convolution.channels, ...convolution.kernel] : [rows, columns, 1, 1], values }
}

/** The other way: all axes but the first are one, or of a convolution's vector all but the second. */
export function asMatrix (name: string, { shape, values }: FloatTensor): FloatTensor {
  if (shape.length <= 2) return { shape, values }
  if (name === 'ia3_l') return { shape: [shape[1], 1], values }
  const [rows, ...columns] = shape
  return { shape: [rows, columns.reduce((product, size) => product * size, 1)], values }
}
