import { type Claim, type Finding, isBroken } from './claims.js'
import type { Outcome } from './part.js'

/** One table, with what has to be known to read it, and what it shows. */
export function markdown ({ title, head, rows, notes, claims, charts }: Outcome): string {
  return [
    `## ${title}`,
    markdownTable(head, rows),
    ...(notes.length === 0 ? [] : [notes.map(note => `- ${note}`).join('\n')]),
    ...(claims.length === 0 ? [] : [claims.map(describe).join('\n')]),
    ...[...charts.keys()].map(name => `![${name}](${name}.svg)`)
  ].join('\n\n') + '\n'
}

/** The first column to the left, the others to the right; as wide as they have to be, so that it can be read as it is. */
export function markdownTable (head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const lines = [head, ...rows].map(line => line.map(cell => cell.replaceAll('|', '\\|')))
  const widths = head.map((_, column) => Math.max(3, ...lines.map(line => line[column].length)))
  const shown = (line: readonly string[]): string => `| ${line.map((cell, column) => column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])).join(' | ')} |`
  const rule = widths.map((width, column) => column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)
  const [first, ...rest] = lines.map(shown)
  return [first, `| ${rule.join(' | ')} |`, ...rest].join('\n')
}

function describe ({ claim, findings }: Claim): string {
  const broken = findings.filter(isBroken)
  if (broken.length > 0) return [`- **Does not hold**: ${claim}.`, ...broken.map(finding => `  - ${shown(finding)}`)].join('\n')
  if (findings.length === 0) return `- Nothing to compare: ${claim}.`
  const worst = findings.reduce((most, own) => own.difference / own.bound > most.difference / most.bound ? own : most)
  return `- Holds: ${claim}. Of ${findings.length} comparisons the farthest: ${shown(worst)}`
}

function shown ({ what, difference, bound }: Finding): string {
  return `${what} are ${difference.toExponential(1)} apart, at most ${bound.toExponential(1)} are allowed.`
}
