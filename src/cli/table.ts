/** Spaces between columns. */
const GAP = '  '

/** Columns of text, the first to the left, the others to the right. */
export function table (head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...lines.map(line => line[column].length)))
  return lines
    .map(line => line.map((cell, column) => column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])).join(GAP).trimEnd())
    .join('\n')
}

/** For people: `3.2 MB`. */
export function readableBytes (bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1)
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}
