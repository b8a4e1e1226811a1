import { learningCurves } from './chart.js'
import type { Claim } from './claims.js'
import { type Row, scoresOfRun } from './compare.js'
import type { Method } from './method.js'
import type { Outcome } from './part.js'
import { readable } from './statistics.js'
import type { Task } from './task.js'

interface Compared {
  readonly title: string
  readonly tasks: readonly Task[]
  readonly methods: readonly Method[]
  readonly rows: readonly Row[]
  readonly claims: readonly Claim[]
  readonly notes: readonly string[]
}

/** Methods by tasks: a line a method, and of each task its columns. */
export function comparison (name: string, { title, tasks, methods, rows, claims, notes }: Compared): Outcome {
  const rowOf = (task: Task, method: Method): Row | undefined => rows.find(row => row.task === task.name && row.method === method)
  const columns = tasks.flatMap(task => measuresIn(rowOf(task, methods[0])).map(measure => ({ task, measure })))
  return {
    title,
    head: ['', 'parameters', ...columns.map(({ task, measure }) => `${task.name}: ${measure}`)],
    rows: methods.map(method => [
      method.name,
      [...new Set(tasks.flatMap(task => parametersOf(rowOf(task, method))))].join(' / '),
      ...columns.map(({ task, measure }) => {
        const found = rowOf(task, method)?.measures.get(measure)
        return found === undefined ? '–' : readable(found)
      })
    ]),
    notes: [...tasks.map(describeTask), ...notes],
    claims,
    charts: new Map(tasks.map(task => [`${name}-${task.name}`, learningCurves(task.name, rows.filter(row => row.task === task.name))])),
    data: { tasks, methods, rows: rows.map(dataOf) }
  }
}

/** Of each user. */
function parametersOf (row: Row | undefined): number[] {
  return row?.runs[0].users.map(({ parameters }) => parameters) ?? []
}

function measuresIn (row: Row | undefined): string[] {
  return [...row?.measures.keys() ?? []]
}

function describeTask ({ name, users, settings }: Task): string {
  const { steps, batchSize, length, optimizer, rates, sites, interval } = settings
  return [
    `${name}: ${users.length === 1 ? '' : `${users.length} users, `}${steps} batches of ${batchSize} rows${length === undefined ? '' : ` of ${length} tokens`}`,
    `${interval === 1 ? '' : `a fit after ${interval} of them, `}${optimizer}, learning rates ${Object.entries(rates).map(([trained, rate]) => `${trained} ${rate}`).join(', ')}`,
    `sites ${sites?.join(', ') ?? 'as usual for the model'}`
  ].join('; ')
}

function dataOf ({ task, method, runs, measures }: Row): object {
  return {
    task,
    method: method.name,
    measures: Object.fromEntries(measures),
    runs: runs.map(({ seed, seconds, users }) => ({
      seed,
      seconds,
      users: users.map(own => ({ user: own.user, parameters: own.parameters, losses: own.losses, heldOut: scoresOfRun([own]) }))
    }))
  }
}
