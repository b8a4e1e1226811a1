import '../../src/cli/stdout.js'
import { createInterface } from 'node:readline'
import { writeToStdout } from '../../src/cli/stdout.js'
import type { HostedStep } from '../../src/node/host/host.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import type { ContributionRecord } from '../../src/protocols/contribution/index.js'
import { batchOf } from '../../src/tensor/batch.js'
import type { Batch } from '../../src/types.js'
import { cAttnJob, jobsOfNewPeer, OpenHost } from './c-attn-job.js'
import { timed } from './interleaved.js'
import { randomAdapter } from './random-adapter.js'
import { randomBatch } from './random-batch.js'
import type { UsersHostInit } from './users-host-init.js'

/**
 * A host of so many trainers, which share its rows equally: for each line one step of each of them, all at the same time.
 * Answers with the milliseconds until the last has its result.
 */
const { model: folder, trainers, rows, length, threads, mode } = JSON.parse(process.argv[2]) as UsersHostInit

const signal = new AbortController().signal
const model = await ModelThread.open({ folder, log: line => process.stderr.write(`${line}\n`), threads })
const store = new BlobStore() // of all of them, so that nothing has to be pulled
const host = await OpenHost.open(model, mode, store)
const { job, sites } = cAttnJob(model.info, mode)

const members: Array<{ readonly batch: Batch, readonly contribution: ContributionRecord, held: HostedStep | undefined }> = []
for (const [k, batch] of shares(randomBatch(rows, length, model.info.vocabSize), trainers).entries()) {
  const joined = (await jobsOfNewPeer(store)).join(job, sites)
  const contribution = await joined.contribute(randomAdapter(sites, k), { tokens: batch.rows * length, final: false })
  await host.host.jobs.join(job, sites).members.fetch(contribution, signal)
  members.push({ batch, contribution, held: undefined })
}

async function oneStepOfEach (): Promise<void> {
  await Promise.all(members.map(async member => {
    member.held = undefined // a host holds x and ∇ĥ until the trainer's next step
    member.held = await host.step(member.batch, signal, member.contribution)
  }))
}

/** What it takes to merge all adapters anew: a step of one row that has to, without what the same step takes otherwise. */
async function timeOfMerging (): Promise<number> {
  const [{ batch: whole, contribution }] = members
  const [batch] = shares(whole, whole.rows) // of the same size whoever's it is, so that it adds the same to everyone's peak
  const step = async (): Promise<unknown> => await host.step(batch, signal, contribution)
  await step() // compiles
  await host.step(batch, signal) // of θ as it is: what was merged is forgotten
  const withMerging = await timed(step)
  return withMerging - await timed(step)
}

await writeToStdout(`${JSON.stringify({ merging: mode === 'collaboration' ? await timeOfMerging() : null })}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') continue
  await writeToStdout(`${JSON.stringify({ milliseconds: await timed(oneStepOfEach) })}\n`)
}
process.exit()

/** The batch cut into equal numbers of rows. */
function shares ({ rows, tensors }: Batch, count: number): Batch[] {
  const size = rows / count
  return Array.from({ length: count }, (_, k) => batchOf(new Map([...tensors].map(([name, { shape: [, length], values }]) =>
    [name, { shape: [size, length], values: values.slice(k * size * length, (k + 1) * size * length) }]))))
}
