/** More than this many letters wrong is another word. */
const MAX_DISTANCE = 3

/** What was probably meant: the known word nearest to the one that was typed; undefined where none is near. */
export function suggest (typed: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map(word => ({ word, distance: distance(typed, word) }))
    .filter(({ word, distance }) => distance <= Math.min(MAX_DISTANCE, Math.ceil(word.length / 2)))
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.word
}

/** Letters to insert, delete or replace (Levenshtein). */
function distance (a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]
}
