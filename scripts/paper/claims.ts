import type { Row } from './compare.js'
import type { Statistic } from './statistics.js'

/** How far two numbers are apart, and how far they may be. */
export interface Finding {
  /** Which numbers. */
  readonly what: string
  readonly difference: number
  readonly bound: number
}

/** Something that the paper says, and what was found of it. */
export interface Claim {
  readonly claim: string
  readonly findings: readonly Finding[]
}

/** How far a row may be from its twin: of losses as a part of them, of other measures, which go up to 1, as they are. */
const TWIN_BOUND = 0.02

/** Measures that are not between -1 and 1. */
const RELATIVE: readonly string[] = ['loss', 'mse']

/** Between ways that are the same but for rounding: part of the loss. */
const SAME_BOUND = 1e-3

/** Each row of Gradient Learning and the one by back-propagation that it should be as good as. */
export function twinClaim (rows: readonly Row[]): Claim {
  const findings = rows.flatMap(row => {
    const { twin } = row.method
    const other = rows.find(({ task, method }) => task === row.task && method.name === twin)
    if (other === undefined) return []
    return [...row.measures].map(([measure, own]) => {
      const theirs = other.measures.get(measure) ?? { mean: NaN, deviation: null }
      const what = `${measure} of ${row.method.name} and ${other.method.name}, ${row.task}`
      return { what, difference: RELATIVE.includes(measure) ? relative(own, theirs) : Math.abs(own.mean - theirs.mean), bound: TWIN_BOUND }
    })
  })
  return { claim: `each ColA row is within ${100 * TWIN_BOUND} % of its back-propagation twin`, findings }
}

/** That the loss does not depend on where the auxiliary is. The noise is what seeds do to the loss, or less than a rounding error would. */
export function mergedClaim (rows: readonly Row[], claim: string, unmerged: string, merged: readonly string[]): Claim {
  return {
    claim,
    findings: pairsOf(rows, unmerged, merged).map(([a, b, what]) => {
      const [own, other] = [lossOf(a), lossOf(b)]
      return { what, difference: Math.abs(own.mean - other.mean), bound: Math.max(own.deviation ?? 0, SAME_BOUND * own.mean) }
    })
  }
}

/** That ways which are the same but for rounding have the same loss. */
export function sameClaim (rows: readonly Row[], claim: string, one: string, others: readonly string[]): Claim {
  return { claim, findings: pairsOf(rows, one, others).map(([a, b, what]) => ({ what, difference: relative(lossOf(b), lossOf(a)), bound: SAME_BOUND })) }
}

/** Whether a difference is too large, or no number. */
export function isBroken ({ difference, bound }: Finding): boolean {
  return !(difference <= bound)
}

/** What does not hold, a line for each of the rows that break it. */
export function brokenIn (claims: readonly Claim[]): string[] {
  return claims.flatMap(({ claim, findings }) => findings.filter(isBroken).map(({ what, difference, bound }) => `it does not hold that ${claim}: ${what} are ${difference.toPrecision(2)} apart, at most ${bound.toPrecision(2)} were allowed`))
}

function pairsOf (rows: readonly Row[], one: string, others: readonly string[]): Array<[Row, Row, string]> {
  return rows.filter(({ method }) => method.name === one).flatMap(row =>
    rows.filter(({ task, method }) => task === row.task && others.includes(method.name)).map((other): [Row, Row, string] =>
      [row, other, `loss of ${other.method.name} and ${one}, ${row.task}`]))
}

function lossOf ({ measures }: Row): Statistic {
  return measures.get('loss') ?? { mean: NaN, deviation: null }
}

function relative (own: Statistic, other: Statistic): number {
  return Math.abs(own.mean / other.mean - 1)
}
