/** The thread of `FitThread`: a learner of some of the sites, one call after the other. */
import { parentPort, workerData } from 'node:worker_threads'
import { startBackend } from '../../../engine/backend.js'
import type { GradientLearner, GradientNorms } from '../../../gl/gradient-learner.js'
import type { Fit } from '../../../gl/learner.js'
import { learnerOf } from '../../../gl/learner-plan.js'
import { told } from '../../thread.js'
import type { FitCalls, FitThreadData, FromFitThread, ToFitThread } from './thread-messages.js'

const port = parentPort
if (port === null) throw new Error('this file is the main of a thread')

const { plan, backend } = workerData as FitThreadData

function say (message: FromFitThread, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}

/** What can be handed over without a copy: tensors that a learner gives are the caller's. */
function buffersOf (value: unknown): ArrayBuffer[] {
  if (value instanceof Map) return [...value.values()].flatMap(buffersOf)
  return typeof value === 'object' && value !== null && 'values' in value && ArrayBuffer.isView(value.values) ? [value.values.buffer as ArrayBuffer] : []
}

function callsOf (learner: GradientLearner): FitCalls {
  let fitting: Promise<Fit | undefined> = Promise.resolve(undefined)
  let goOn = (_: GradientNorms): void => {}
  const normsOfAll = async (): Promise<GradientNorms> => await new Promise(resolve => { goOn = resolve })
  return {
    ready: async () => new Map([...await learner.adapter()].map(([site, own]) => [site, [...own.keys()]])),
    gather: (site, data) => learner.gather(site, data),
    endBatch: weight => learner.endBatch(weight),
    dropBatch: () => learner.dropBatch(),
    norms: async () => await new Promise<GradientNorms>((resolve, reject) => {
      fitting = learner.fit(async own => {
        resolve(own)
        return await normsOfAll()
      })
      fitting.catch(reject) // what fails later is told to who asks for the fit
    }),
    fit: async norms => {
      goOn(norms)
      return await fitting
    },
    adapter: async () => await learner.adapter(),
    contributed: async () => await learner.contributed(),
    check: adapter => learner.check(adapter),
    assign: adapter => learner.assign(adapter),
    state: async () => await learner.state(),
    restore: state => learner.restore(state)
  }
}

async function open (): Promise<{ learner: GradientLearner, calls: FitCalls }> {
  await startBackend(backend)
  const learner = learnerOf(plan)
  return { learner, calls: callsOf(learner) }
}

const opened = open()
opened.catch(() => {}) // it is told to who asks whether it is ready

port.on('message', (message: ToFitThread) => {
  if (message.type === 'close') process.exit()
  const { number, call, args } = message
  opened.then(async ({ learner, calls }) => {
    const value = await (calls[call] as (...args: readonly unknown[]) => unknown)(...args)
    const { fits, gathered } = learner
    say({ type: 'done', number, value, progress: { fits, gathered } }, buffersOf(value))
  }).catch((error: unknown) => say({ type: 'failed', number, error: told(error) }))
})
