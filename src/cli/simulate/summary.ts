import type { Mode } from '../../types.js'
import type { Member, SimulationReport } from './report.js'
import { readableBytes, table } from '../table.js'

/** The report for people. */
export function summarise ({ members, modes, problems, seconds, engine, run }: SimulationReport): string {
  const parts = [
    `Held-out loss, nats per token (${engine}, ${Math.round(seconds)} s in all)\n${lossTable(members, modes)}`,
    `Bytes sent / received\n${bytesTable(members)}`,
    `ΔW\n${table(['trainer', 'hash'], members.map(({ name, deltaHash }) => [name, deltaHash]))}`,
    problems.length === 0 ? 'All as it should be.' : `Wrong:\n${problems.map(problem => `  ${problem}`).join('\n')}`,
    `Adapters, report.json and loss.svg are in ${run}`
  ]
  return parts.join('\n\n')
}

function lossTable (members: readonly Member[], modes: readonly Mode[]): string {
  return table(['trainer', 'base', ...modes, 'tokens/s'], members.map(({ name, heldOut, tokensPerSecond }) => [
    name,
    loss(heldOut.base),
    ...modes.map(mode => `${loss(heldOut[mode])}${change(heldOut[mode], heldOut.base)}`),
    tokensPerSecond.toFixed(0)
  ]))
}

function bytesTable (members: readonly Member[]): string {
  const kinds = [...new Set(members.flatMap(({ bytes }) => Object.keys(bytes)))].sort()
  return table(['trainer', ...kinds], members.map(({ name, bytes }) => [
    name,
    ...kinds.map(kind => Object.hasOwn(bytes, kind) ? `${readableBytes(bytes[kind].sent)} / ${readableBytes(bytes[kind].received)}` : '–')
  ]))
}

function loss (value: number | null | undefined): string {
  return value?.toFixed(4) ?? '–'
}

function change (value: number | null | undefined, base: number | null): string {
  if (typeof value !== 'number' || base === null) return ''
  const percent = (value / base - 1) * 100
  return ` (${percent > 0 ? '+' : ''}${percent.toFixed(1)} %)`
}
