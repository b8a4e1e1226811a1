import type { PassResult } from '../model/pass.js'
import { outputSize } from '../places.js'
import type { Batch, NamedTensors, Site, TensorData } from '../types.js'

/** What came of a pass, under the names and in the shapes that it has in transformers: `loss` `[1]`, `logits`, `x.<site>` and `grad.<site>`. */
export function passTensors ({ loss, logits, pairs }: PassResult, { rows }: Batch, sites: readonly Site[]): NamedTensors {
  const tensors = new Map<string, TensorData>([['loss', { shape: [1], values: Float32Array.of(loss) }]])
  if (logits !== undefined) tensors.set('logits', logits)
  for (const site of sites) {
    const pair = pairs.get(site.name)
    if (pair === undefined) continue
    const { convolution } = site
    tensors.set(`x.${site.name}`, asPyTorch(pair.x, rows, site, convolution && [convolution.height, convolution.width]))
    tensors.set(`grad.${site.name}`, asPyTorch(pair.gradient, rows, site, convolution && outputSize(convolution)))
  }
  return tensors
}

/**
 * `[rows, places, features]`; `[rows, features]` of a module that stands once in a row; `[rows, channels, height, width]` of a
 * convolution; tokens `[rows, places]`.
 */
function asPyTorch ({ shape: [all, features], values }: TensorData, rows: number, { places }: Site, size: readonly [number, number] | undefined): TensorData {
  if (values instanceof Int32Array) return { shape: [rows, all / rows], values }
  if (size === undefined) return { shape: places === 1 ? [rows, features] : [rows, all / rows, features], values }
  const pixels = all / rows
  const moved = values.map((_, i) => {
    const [row, channel, pixel] = [Math.floor(i / features / pixels), Math.floor(i / pixels) % features, i % pixels]
    return values[(row * pixels + pixel) * features + channel]
  })
  return { shape: [rows, features, ...size], values: moved }
}
