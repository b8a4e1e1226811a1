import type { LocalModel } from '../../../src/node/host/local-model.js'
import type { AdapterTensors, AuxiliarySpec, Batch, FloatTensor, Site, SitePair } from '../../../src/types.js'

export interface DelayedInit {
  readonly model: LocalModel
  /** Low-rank. */
  readonly spec: AuxiliarySpec
  readonly sites: readonly Site[]
  readonly start: AdapterTensors
  readonly batches: readonly Batch[]
  readonly interval: number
  /** How many steps before its own a step's auxiliaries are from. */
  readonly delay: number
  /** What gradients are multiplied by that were made so many fits ago. */
  readonly weight: (fits: number) => number
  readonly rate: number
}

/**
 * Training with gradients that are late, one step after the other: each step's x and ∇ĥ are those at the auxiliaries as they
 * were `delay` steps before, and so are the factors with which ∇A = α·BᵀG and ∇B = α·GAᵀ, G = Σ∇ĥxᵀ, are written out here.
 * SGD with Nesterov's momentum of 0.9, in float64.
 *
 * @returns the loss of each batch, and the auxiliaries in the end
 */
export async function trainDelayed ({ model, spec, sites, start, batches, interval, delay, weight, rate }: DelayedInit): Promise<{ losses: number[], adapter: AdapterTensors }> {
  const alpha = spec.alpha / spec.rank
  const versions = [start]
  const momenta = new Map<string, Float64Array>()
  let sums = new Map<string, Float64Array>()
  const losses: number[] = []
  for (const [step, batch] of batches.entries()) {
    const sentAfter = Math.floor(Math.max(0, step - delay) / interval)
    const own = versions[sentAfter]
    const [{ loss, data }] = await model.pass({ parts: [{ batch, beside: [{ spec, tensors: own }] }], sites: sites.map(({ name }) => name), merged: null })
    losses.push(loss)
    const share = alpha * weight(versions.length - 1 - sentAfter)
    for (const { name } of sites) {
      const { x, gradient } = data.get(name) as SitePair
      const [a, b] = factorsOf(own, name)
      const outer = product(transposed(asRows(gradient)), asRows(x as FloatTensor)) // G [out, in]
      add(sums, `${name}|lora_A.weight`, product(transposed(asRows(b)), outer), share)
      add(sums, `${name}|lora_B.weight`, product(outer, transposed(asRows(a))), share)
    }
    if ((step + 1) % interval !== 0 && step + 1 < batches.length) continue
    versions.push(new Map([...versions[versions.length - 1]].map(([site, tensors]) => [site, new Map([...tensors].map(([name, { shape, values }]) => {
      const gradient = sums.get(`${site}|${name}`)!
      const momentum = gradient.map((value, i) => value + 0.9 * (momenta.get(`${site}|${name}`)?.[i] ?? 0))
      momenta.set(`${site}|${name}`, momentum)
      return [name, { shape, values: values.map((value, i) => value - rate * (gradient[i] + 0.9 * momentum[i])) }]
    }))])))
    sums = new Map()
  }
  return { losses, adapter: versions[versions.length - 1] }
}

type Rows = readonly Float64Array[]

function factorsOf (adapter: AdapterTensors, site: string): readonly [FloatTensor, FloatTensor] {
  const own = adapter.get(site)!
  return [own.get('lora_A.weight')!, own.get('lora_B.weight')!]
}

function asRows ({ shape, values }: FloatTensor): Rows {
  const columns = shape[shape.length - 1]
  return Array.from({ length: values.length / columns }, (_, i) => Float64Array.from(values.subarray(i * columns, (i + 1) * columns)))
}

function transposed (rows: Rows): Rows {
  return Array.from(rows[0], (_, j) => Float64Array.from(rows, row => row[j]))
}

function product (left: Rows, right: Rows): Rows {
  return left.map(row => Float64Array.from(right[0], (_, j) => row.reduce((sum, value, k) => sum + value * right[k][j], 0)))
}

function add (sums: Map<string, Float64Array>, name: string, rows: Rows, share: number): void {
  const values = rows.flatMap(row => [...row])
  sums.set(name, Float64Array.from(values, (value, i) => (sums.get(name)?.[i] ?? 0) + share * value))
}
