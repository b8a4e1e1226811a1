import type { ContributionRecord } from '../../protocols/contribution/index.js'

export interface QuorumInit {
  /** Who asks. */
  readonly peer: string
  /** That it has trained on so far. */
  readonly tokens: number
  /** Members of the job: while fewer have contributed, one that has not begun may be among those to come. */
  readonly expected: number
  /** Share of the tokens of all, above 0; with 1 it is never reached. */
  readonly quorum: number
}

/** Whether members that are done hold such a share of the tokens that one that is not is to end where it is. */
export function quorumReached (held: ReadonlyArray<{ readonly record: ContributionRecord }>, { peer, tokens, expected, quorum }: QuorumInit): boolean {
  if (quorum === 1 || held.length < expected) return false
  const others = held.map(({ record }) => record).filter(record => record.peer !== peer)
  const all = others.reduce((sum, record) => sum + record.tokens, tokens)
  const done = others.filter(({ final }) => final).reduce((sum, record) => sum + record.tokens, 0)
  return done > 0 && done >= quorum * all
}
