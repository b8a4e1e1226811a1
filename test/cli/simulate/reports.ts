import { joinRuns, type Member, type TrainReport } from '../../../src/cli/simulate/report.js'
import type { Mode } from '../../../src/types.js'

/** A trainer's report as `colanet train --json` prints it. */
export function runOf (mode: Mode, changes: Partial<TrainReport> = {}): TrainReport {
  return {
    mode,
    model: 'f3aa',
    engine: 'wasm',
    losses: [3.5, 3.1],
    tokens: 1000,
    tokensPerSecond: 100,
    heldOut: { base: 3.4, adapted: 3 },
    bytes: { step: { sent: 10, received: 20 } },
    deltaHash: `${mode}-hash`,
    adapter: `adapters/${mode}`,
    ...changes
  }
}

export function memberOf (name: string, runs: readonly TrainReport[]): Member {
  return joinRuns(name, `data/${name}.txt`, runs)
}
