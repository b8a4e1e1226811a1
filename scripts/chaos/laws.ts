import { scaleAt } from '../../src/auxiliary-spec.js'
import type { ContributionRecord } from '../../src/protocols/contribution/index.js'
import type { AdapterTensors, AuxiliarySpec, AuxiliaryTensors } from '../../src/types.js'
import type { Endpoint } from './network.js'
import type { Left, Trainer } from './trainer.js'
import { SITES, SPEC } from './world.js'

/** Two ways of one sum may differ by as much, as a share of the largest value: products are rounded to float32. */
const ROUNDING = 1e-5

export interface Ended {
  readonly trainers: readonly Trainer[]
  readonly contents: ReadonlyMap<string, AdapterTensors>
  readonly honest: readonly Endpoint[]
}

/** What has to hold whatever befell the members, and does not. */
export function brokenLaws ({ trainers, contents, honest }: Ended): string[] {
  const survivors = trainers.filter(({ dead }) => !dead)
  const broken: string[] = []
  const hashes = new Map<string, string[]>()
  for (const { name, left } of survivors) {
    if (left === undefined) {
      broken.push(`${name} has not settled`)
      continue
    }
    hashes.set(left.outcome.deltaHash, [...hashes.get(left.outcome.deltaHash) ?? [], name])
    for (const other of survivors) broken.push(...lost(name, left.records, other))
    broken.push(...miscounted(name, left, contents))
  }
  if (hashes.size > 1) broken.push(`members differ in ΔW: ${[...hashes].map(([hash, names]) => `${names.join(' ')} have ${hash.slice(0, 16)}`).join('; ')}`)
  for (const { bans, name } of honest) {
    for (const { peer, reason } of bans.list()) {
      const other = trainers.find(trainer => trainer.peer.equals(peer))
      if (other !== undefined) broken.push(`${name} has banned ${other.name}, which is honest: ${reason}`)
    }
  }
  return broken
}

/** The last contribution of a member that survived is in everyone's state, once. */
function lost (name: string, records: readonly ContributionRecord[], { name: other, peer, final }: Trainer): string[] {
  const own = records.filter(record => record.peer === peer.toString())
  if (own.length !== 1) return [`${name} counts ${other} ${own.length} times`]
  const [{ manifest: { id }, tokens }] = own
  return id === final?.manifest.id && tokens === final.tokens ? [] : [`${name} has not the last contribution of ${other}`]
}

/** What is written is the sum of the records, each counted once, computed from what was contributed. */
function miscounted (name: string, { outcome, records }: Left, contents: ReadonlyMap<string, AdapterTensors>): string[] {
  const unknown = records.filter(({ manifest: { id } }) => !contents.has(id))
  if (unknown.length > 0) return [`${name} counts what nobody contributed: ${unknown.map(({ manifest: { id } }) => id.slice(0, 8)).join(' ')}`]
  const tokens = records.reduce((sum, record) => sum + record.tokens, 0)
  const weighted = records.map(record => ({ spec: SPEC, tensors: contents.get(record.manifest.id) ?? new Map<string, AuxiliaryTensors>(), weight: tokens === 0 ? 1 / records.length : record.tokens / tokens }))
  const [expected, actual] = [productsOf(weighted), productsOf(outcome.adapters.map(adapter => ({ ...adapter, weight: 1 })))]
  const largest = Math.max(...expected.map(Math.abs))
  const error = Math.max(...expected.map((value, i) => Math.abs(value - actual[i]))) / largest
  return error <= ROUNDING ? [] : [`${name} has a ΔW that is not the sum of its members' contributions: it differs by ${error.toPrecision(2)} of the largest value`]
}

/** Σ weight·scale·B·A, the values of all sites, in doubles. */
function productsOf (parts: ReadonlyArray<{ readonly spec: AuxiliarySpec, readonly tensors: AdapterTensors, readonly weight: number }>): number[] {
  return SITES.flatMap(({ name, inFeatures, outFeatures }) => Array.from({ length: outFeatures * inFeatures }, (_, at) => {
    const [row, column] = [Math.floor(at / inFeatures), at % inFeatures]
    return parts.reduce((sum, { spec, tensors, weight }) => {
      const [a, b] = ['lora_A.weight', 'lora_B.weight'].map(parameter => tensors.get(name)?.get(parameter)?.values ?? new Float32Array())
      const rank = a.length / inFeatures
      const product = Array.from({ length: rank }, (_, r) => b[row * rank + r] * a[r * inFeatures + column]).reduce((one, other) => one + other, 0)
      return sum + weight * scaleAt(spec, name) * product
    }, 0)
  }))
}
