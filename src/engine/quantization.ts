import type { Weights } from './engine.js'

/** What an engine is called where some of its weights are quantised, and where none is. */
export function namesWith (weights: Weights, { name, description }: { readonly name: string, readonly description: string }): { name: string, description: string } {
  const quantized = [...weights.values()].flatMap(({ quantized }) => quantized === undefined ? [] : [quantized])
  if (quantized.length === 0) return { name, description }
  const kinds = [...new Set(quantized.map(({ kind }) => kind))].join(', ')
  const moved = quantized.reduce((sum, { error }) => sum + error.moved, 0)
  const size = quantized.reduce((sum, { error }) => sum + error.size, 0)
  const percent = size === 0 ? 0 : 100 * Math.sqrt(moved / size)
  return {
    name: `${name}-${kinds}`,
    description: `${description}, with ${quantized.length} matrices in ${kinds}, which moves them by ${percent.toPrecision(3)} % (relative RMS error)`
  }
}
