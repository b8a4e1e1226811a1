/** Why a peer was not reached, in one line: libp2p puts what each of its addresses gave into one error. */
export function describeDialError (error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(describeDialError))].join('; ')
  return (error instanceof Error ? error.message || error.name : String(error)).replace(/\s+/g, ' ').trim()
}
