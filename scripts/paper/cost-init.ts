import type { ModelInfo } from '../../src/model/base-model.js'
import type { TrainOptions } from '../../src/node/trainer/options.js'

/** What `cost-host.ts` is started with, as JSON. */
export interface CostHostInit {
  readonly options: TrainOptions
  /** In which adaptation data are written for the trainer's process; null where fits are done by the host's. */
  readonly folder: string | null
  readonly threads: number | undefined
}

/** What it says first. */
export interface CostHostReady {
  readonly info: ModelInfo
  /** Of the weights that the auxiliaries start from, where their kind does: `encodeWeightNorms` in base64. */
  readonly norms: string
}

/** What `cost-trainer.ts` is started with, as JSON. */
export interface CostTrainerInit extends CostHostReady {
  readonly options: TrainOptions
}

/** What a host answers to a line. */
export interface CostHostStep {
  /** The base pass, in milliseconds: forward and backward, merging anew where that is needed, and encoding what is sent. */
  readonly pass: number
  /** The fit, in milliseconds; null where it is not done here. */
  readonly fit: number | null
  /** What is sent. */
  readonly parts: readonly CostPart[]
}

/** What a trainer answers to a line of `CostPart`s. */
export interface CostTrainerStep {
  /** In milliseconds, decoding included. */
  readonly fit: number
}

/** Adaptation data of some sites in a file, as they would cross the wire. */
export interface CostPart {
  readonly sites: readonly string[]
  readonly path: string
  readonly bytes: number
}
