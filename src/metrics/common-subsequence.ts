/**
 * The length of the longest sequence that both hold in its order, not necessarily without gaps (Wagner and Fischer).
 * The time is a.length · b.length, the memory that of the shorter.
 */
export function commonSubsequence (a: readonly string[], b: readonly string[]): number {
  const [rows, columns] = a.length < b.length ? [b, a] : [a, b]
  const longest = new Uint32Array(columns.length + 1) // of the rows so far and the first j columns
  for (const row of rows) {
    let diagonal = 0
    for (let j = 1; j <= columns.length; j++) {
      const above = longest[j]
      longest[j] = row === columns[j - 1] ? diagonal + 1 : Math.max(above, longest[j - 1])
      diagonal = above
    }
  }
  return longest[columns.length]
}
