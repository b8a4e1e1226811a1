import type { Node } from './format.js'

/** What gives its result another shape, in the memory that it has. */
const VIEWS = new Set(['Reshape', 'Identity'])

/**
 * The most that the tensors of a run take at one moment, in bytes, inputs and weights left out: each lives from the node
 * that makes it to the last that takes it, and outputs to the end.
 *
 * @param nodes in the order in which they run
 * @param bytesOf by the name of a tensor; others count nothing
 */
export function footprint (nodes: readonly Node[], outputs: ReadonlySet<string>, bytesOf: ReadonlyMap<string, number>): number {
  const owner = new Map<string, string>()
  const ownerOf = (name: string): string => owner.get(name) ?? name
  for (const { op, inputs: [from], outputs: [to] } of nodes) {
    if (VIEWS.has(op)) owner.set(to, ownerOf(from))
  }
  const lastUse = new Map<string, number>()
  for (const [i, { inputs }] of nodes.entries()) for (const name of inputs) lastUse.set(ownerOf(name), i)
  for (const name of outputs) lastUse.set(ownerOf(name), nodes.length)
  let live = 0
  let peak = 0
  for (const [i, { inputs, outputs }] of nodes.entries()) {
    for (const name of outputs) if (!owner.has(name)) live += bytesOf.get(name) ?? 0
    peak = Math.max(peak, live)
    for (const name of new Set([...inputs, ...outputs].map(ownerOf))) {
      if ((lastUse.get(name) ?? i) === i) live -= bytesOf.get(name) ?? 0
    }
  }
  return peak
}

/** What all tensors of a run take together, in bytes, as where none goes before the end. Parameters as those of `footprint`. */
export function sumOfTensors (nodes: readonly Node[], bytesOf: ReadonlyMap<string, number>): number {
  return nodes.filter(({ op }) => !VIEWS.has(op)).flatMap(({ outputs }) => outputs).reduce((sum, name) => sum + (bytesOf.get(name) ?? 0), 0)
}
