import { peerIdFromString } from '@libp2p/peer-id'
import { Host } from '../../../src/node/host/host.js'
import { ModelThread } from '../../../src/node/host/model-thread.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import type { StepRequest } from '../../../src/protocols/step/index.js'
import { cAttnJob, jobsOfNewPeer } from '../c-attn-job.js'
import { figure, ratio, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { interleaved, timed, valuesOf } from '../interleaved.js'
import { definePart, MODEL_OPTION, runsOption, THREADS_OPTION } from '../part.js'
import { randomAdapter } from '../random-adapter.js'
import { randomBatch } from '../random-batch.js'

const ONE = 'one task'
const TWO = 'two tasks'

/** What a host is asked for at once. */
type Steps = readonly StepRequest[]

/**
 * What a trainer of two tasks costs a host, beside a trainer of one task with as many rows: each task has a job and an adapter of its
 * own, which runs beside the base model, and their steps are one pass.
 */
export const tasks = definePart({
  name: 'tasks',
  describe: 'time of a host for the steps of two tasks, and for one step of one task with as many rows',
  options: {
    runs: runsOption(9),
    rows: { type: 'integer', min: 2, default: 8, describe: 'rows of both tasks together' },
    length: { type: 'integer', min: 2, default: 64, describe: 'tokens in a row' },
    model: MODEL_OPTION,
    threads: THREADS_OPTION
  },
  measure: async ({ runs, rows, length, model: asked, threads }, context) => {
    const { signal, log } = context
    const model = await ModelThread.open({ folder: await modelFolder(asked, context.folder, log), log, threads })
    try {
      const store = new BlobStore() // of host and trainer, so that nothing has to be pulled
      const [host, trainer] = [new Host({ model, jobs: await jobsOfNewPeer(store) }), await jobsOfNewPeer(store)]
      const stepOf = async (name: string, rows: number): Promise<StepRequest> => {
        const { job, sites } = cAttnJob(model.info, 'alone', name)
        host.open(job)
        const joined = trainer.join(job, sites)
        const contribution = await joined.contribute(randomAdapter(sites, rows), { tokens: rows * length, final: false })
        await host.jobs.join(job, sites).members.fetch(contribution, signal)
        const batch = randomBatch(rows, length, model.info.vocabSize)
        return { job: joined.id, step: 0, purpose: 'train', adapted: true, wire: 'f32', sites: [...job.sites], contribution, batch }
      }
      const peer = peerIdFromString(trainer.peer)
      const run = async (steps: Steps): Promise<void> => {
        const replies = await Promise.all(steps.map(async step => await host.step(peer, step, 'tensors', signal)))
        if (replies.some(({ reply }) => reply.shared !== steps.length)) throw new Error(`the steps of ${steps.length} tasks were not one pass`)
      }
      const one = [await stepOf('one', rows)]
      const two = [await stepOf('first', Math.floor(rows / 2)), await stepOf('second', Math.ceil(rows / 2))]
      let pass = 0
      const measured = await interleaved<number>([
        { name: ONE, run: async () => await timed(async () => { await run(one) }) },
        { name: TWO, run: async () => await timed(async () => { const id = String(pass++); await run(two.map(step => ({ ...step, together: { id, size: two.length } }))) }) }
      ], { ...context, runs, warmUps: 1, leadIn: false, show: milliseconds => `${milliseconds.toFixed(0)} ms` })
      const [alone, both] = [valuesOf(measured, ONE), valuesOf(measured, TWO)]
      const tasksRatio = ratio(both, alone)
      return {
        head: ['', 'ms', 'times one'],
        rows: [[ONE, readable(figure(alone)), ''], [TWO, readable(figure(both)), readable(tasksRatio)]],
        figures: { tasksRatio }
      }
    } finally {
      await model.dispose()
    }
  }
})
