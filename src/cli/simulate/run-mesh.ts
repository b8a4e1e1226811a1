import { join } from 'node:path'
import { MIXED } from '../../node/trainer/options.js'
import type { Mode } from '../../types.js'
import { flag } from '../options.js'
import type { Processes } from './processes.js'
import { trainReport, type TrainReport } from './report.js'

/** Addresses and discovery that keep the processes of one run to themselves. */
const LOCAL = ['--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns']

/** Options of `simulate` that its trainers get as they are. */
const PASSED_ON = [
  'steps', 'batchSize', 'length', 'lr', 'rank', 'alpha', 'sites', 'aux', 'merge', 'optimizer', 'interval', 'seed', 'wire', 'backend'
] as const

export interface MeshOptions extends Readonly<Record<typeof PASSED_ON[number], string | number | readonly string[] | undefined>> {
  /** Folder of the run. */
  readonly run: string
  readonly model: string
  readonly backend: string
  readonly aux: string
  readonly steps: number
  readonly hosts: number
  readonly modes: readonly Mode[]
  readonly members: ReadonlyArray<{ readonly name: string, readonly data: string }>
  readonly log: (line: string) => void
}

export interface MeshResult {
  /** By mode, then by member. */
  readonly runs: ReadonlyArray<readonly TrainReport[]>
  readonly hosts: readonly unknown[]
}

/** Starts the hosts, and for each mode in turn a trainer for each member. The trainers look for a host by themselves. */
export async function runMesh (processes: Processes, options: MeshOptions): Promise<MeshResult> {
  const { modes, members, aux, log } = options
  const kinds = aux.split(MIXED)
  const hosts = Array.from({ length: options.hosts }, (_, i) => `host-${i + 1}`)
    .map(name => processes.start(name, hostArgs(name, options)))
  const runs: TrainReport[][] = []
  await processes.during(async () => {
    for (const mode of modes) {
      log(`${mode}: ${members.length} trainers, ${options.steps} steps each`)
      const trainers = members.map(({ name, data }, i) => processes.start(name, trainArgs(name, data, mode, kinds[i % kinds.length], options)))
      runs.push(await Promise.all(trainers.map(async ({ report }) => trainReport.parse(await report))))
    }
  })
  return { runs, hosts: await Promise.all(hosts.map(async ({ report }) => await report)) }
}

function hostArgs (name: string, { run, model, backend }: MeshOptions): string[] {
  return ['host', '--model', model, '--backend', backend, ...nodeArgs(run, name)]
}

function trainArgs (name: string, data: string, mode: Mode, ownAux: string, options: MeshOptions): string[] {
  const passed = PASSED_ON.flatMap(option => {
    const value = options[option]
    return value === undefined ? [] : [`${flag(option)}=${String(value)}`]
  })
  return [
    'train', '--model', options.model, '--data', data, '--mode', mode, '--job', `simulate-${mode}`,
    '--members', String(options.members.length), '--own-aux', ownAux, '--out', join(options.run, 'adapters', name, mode),
    ...nodeArgs(options.run, name), ...passed
  ]
}

function nodeArgs (run: string, name: string): string[] {
  return ['--folder', join(run, 'nodes', name), ...LOCAL, '--local-discovery', join(run, 'nodes', 'local')]
}
