import type { RowSet } from '../../src/data/row-set.js'
import type { EncodedRow } from '../../src/data/rows.js'

/** What a set of rows for a causal language model was made of. */
export function encodedRows (rows: RowSet): EncodedRow[] {
  return Array.from({ length: rows.count }, (_, row) => {
    const [ids, bounds] = rows.contentOf(row) as Int32Array[]
    const spans = Array.from({ length: bounds.length / 2 }, (_, i) => ({ begin: bounds[2 * i], end: bounds[2 * i + 1] }))
    return { ids, spans }
  })
}
