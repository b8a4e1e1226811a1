import { InvalidOptionError } from '../../errors.js'
import { Auxiliary } from '../../gl/auxiliary.js'
import { lowRankStandIn } from '../../gl/low-rank-stand-in.js'
import { prunedStandIn } from '../../gl/pruned-stand-in.js'
import type { WeightChange } from '../../model/merge.js'
import type { Replacement } from '../../model/write-model.js'
import { product } from '../../tensor/matrix.js'
import type { AuxiliaryTensors, FloatTensor, Site } from '../../types.js'

export const COMPRESSION_METHODS = ['low-rank', 'prune'] as const
export type CompressionMethod = typeof COMPRESSION_METHODS[number]

/** What stands in for the matrix of one module: an auxiliary that the module is replaced by, not one beside it. */
export interface StandIn {
  /** Fitted from x and ∇ĥ of the module as it runs, like any other. Belongs to whoever made it. */
  readonly auxiliary: Auxiliary
  readonly parameters: number
  /** What is told of it. */
  readonly size: { readonly rank: number } | { readonly nonzero: number }
  /** What a fit must not move is put back; may change nothing. */
  readonly restrained: (tensors: AuxiliaryTensors) => AuxiliaryTensors
  /** How it stands in for θ in a pass. */
  readonly change: (tensors: AuxiliaryTensors) => WeightChange
  /** The matrix `[out, in]` that it is. */
  readonly matrix: (tensors: AuxiliaryTensors) => FloatTensor
  /** As it is written. */
  readonly replacement: (tensors: AuxiliaryTensors) => Replacement
}

export interface StandInInit {
  readonly site: Site
  /** W `[out, in]` */
  readonly weight: FloatTensor
  /** The sum of x·xᵀ over the data, `[in, in]` */
  readonly moment: FloatTensor
  /** Parameters that it may have, of what the matrix has; see `checkRatio`. */
  readonly ratio: number
}

/** How a matrix is replaced, by method. */
export const MAKERS: Readonly<Record<CompressionMethod, (init: StandInInit) => StandIn>> = { 'low-rank': ofLowRank, prune: ofPruned }

/** @throws {InvalidOptionError} if the ratio leaves nothing of a module's matrix */
export function checkRatio (sites: readonly Site[], method: CompressionMethod, ratio: number): void {
  const left = method === 'low-rank' ? rankWithin : keptWithin
  const empty = sites.find(site => left(site, ratio) < 1)
  if (empty === undefined) return
  throw new InvalidOptionError(`--ratio ${ratio} leaves nothing of ${empty.name} [${empty.outFeatures}, ${empty.inFeatures}]; use a greater one, or other --sites`)
}

/** The rank whose factors have no more than a share of a matrix's values. */
function rankWithin ({ inFeatures, outFeatures }: Site, ratio: number): number {
  return Math.floor(ratio * inFeatures * outFeatures / (inFeatures + outFeatures))
}

/** Values of a row. */
function keptWithin ({ inFeatures }: Site, ratio: number): number {
  return Math.floor(ratio * inFeatures)
}

function ofLowRank ({ site, weight, moment, ratio }: StandInInit): StandIn {
  const rank = rankWithin(site, ratio)
  const { u, v } = lowRankStandIn(weight, moment, rank)
  const factors = (tensors: AuxiliaryTensors): { u: FloatTensor, v: FloatTensor } => ({ u: tensorOf(tensors, 'lora_B.weight'), v: tensorOf(tensors, 'lora_A.weight') })
  return {
    auxiliary: new Auxiliary({ kind: 'low-rank', rank, alpha: rank }, site, { tensors: new Map([['lora_A.weight', v], ['lora_B.weight', u]]) }),
    parameters: rank * (site.inFeatures + site.outFeatures),
    size: { rank },
    restrained: tensors => tensors,
    change: tensors => ({ scale: 1, instead: true, a: factors(tensors).v, b: factors(tensors).u }),
    matrix: tensors => product(factors(tensors).u, factors(tensors).v),
    replacement: factors
  }
}

function ofPruned ({ site, weight, moment, ratio }: StandInInit): StandIn {
  const start = prunedStandIn(weight, moment, keptWithin(site, ratio))
  const nonzero = start.values.reduce((count, value) => count + (value === 0 ? 0 : 1), 0)
  const matrix = (tensors: AuxiliaryTensors): FloatTensor => tensorOf(tensors, 'weight')
  return {
    auxiliary: new Auxiliary({ kind: 'linear', rank: 1, alpha: 1 }, site, { tensors: new Map([['weight', start]]) }),
    parameters: nonzero,
    size: { nonzero },
    restrained: tensors => {
      const { shape, values } = matrix(tensors)
      return new Map([['weight', { shape, values: values.map((value, i) => start.values[i] === 0 ? 0 : value) }]])
    },
    change: tensors => ({ scale: 1, instead: true, weight: matrix(tensors) }),
    matrix,
    replacement: tensors => ({ weight: async () => await Promise.resolve(matrix(tensors)) })
  }
}

function tensorOf (tensors: AuxiliaryTensors, name: string): FloatTensor {
  return tensors.get(name) ?? { shape: [0, 0], values: new Float32Array() }
}
