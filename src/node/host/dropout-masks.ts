import type { PassShape } from '../../model/joined-batch.js'
import { inputShape, lengthsOf } from '../../places.js'
import { fillMask } from '../../tensor/dropout.js'
import type { FloatTensor, Site } from '../../types.js'
import type { LentPart } from './lent-model.js'

/**
 * Masks of x `[places, in]` of the rows that are in a pass, by site: each trainer's own where it has dropout, and 1 elsewhere.
 * Tokens of embeddings are not dropped.
 */
export function dropoutMasks (parts: readonly LentPart[], { firstRow, rows, lengths }: PassShape, sites: readonly Site[]): Map<string, FloatTensor> {
  return new Map(sites.filter(({ embedding = false }) => !embedding).map(site => {
    const [places, features] = inputShape(site, 1, lengths)
    const values = new Float32Array(rows * places * features).fill(1)
    let first = 0 // of the part, among the rows of all
    for (const { batch, dropout } of parts) {
      const [own] = inputShape(site, 1, lengthsOf(batch))
      if (dropout !== undefined) {
        const end = Math.min(first + batch.rows, firstRow + rows)
        for (let row = Math.max(first, firstRow); row < end; row++) {
          const begin = (row - firstRow) * places * features
          fillMask(values.subarray(begin, begin + own * features), dropout, site.name, row - first)
        }
      }
      first += batch.rows
    }
    return [site.name, { shape: [rows * places, features], values }]
  }))
}
