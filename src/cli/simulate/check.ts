import type { Mode } from '../../types.js'
import { type Member, SHARED_MODES } from './report.js'

/** The work was done, and what came out of it is not what should. */
export class WrongResultError extends Error {
  override readonly name = 'WrongResultError'
}

/**
 * What is wrong with the results: a held-out loss that is not below the base model's, or members that shall share one ΔW
 * and do not. Empty where all is well.
 */
export function findProblems (members: readonly Member[], modes: readonly Mode[]): string[] {
  return [
    ...members.flatMap(member => modes.flatMap(mode => lossProblem(member, mode))),
    ...modes.filter(mode => SHARED_MODES.includes(mode)).flatMap(mode => hashProblem(members, mode))
  ]
}

function lossProblem ({ name, heldOut }: Member, mode: Mode): string[] {
  const { base, [mode]: adapted } = heldOut
  if (base === null || adapted === null || adapted === undefined) return [`${name}: no held-out loss of ${base === null ? 'the base model' : mode}`]
  if (adapted < base) return []
  return [`${name}: the held-out loss after ${mode} is ${adapted.toFixed(4)}, not below the base model's ${base.toFixed(4)}`]
}

function hashProblem (members: readonly Member[], mode: Mode): string[] {
  const hashes = members.map(({ name, runs }) => ({ name, hash: runs[mode]?.deltaHash ?? 'none' }))
  if (new Set(hashes.map(({ hash }) => hash)).size <= 1) return []
  return [`the members' ΔW differ after ${mode}: ${hashes.map(({ name, hash }) => `${name} ${hash.slice(0, 16)}`).join(', ')}`]
}
