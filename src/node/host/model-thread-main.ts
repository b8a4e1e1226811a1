/** The thread of `ModelThread`: one base model, one pass after the other. */
import { parentPort, workerData } from 'node:worker_threads'
import { tensorsOf } from '../../tensor/adaptation.js'
import { SharedMemory } from '../shared-memory.js'
import { told } from '../thread.js'
import type { LentResult } from './lent-model.js'
import { LocalModel } from './local-model.js'
import type { FromThread, PassMessage, ThreadData, ToThread } from './thread-messages.js'

const port = parentPort
if (port === null) throw new Error('this file is the main of a thread')

const { folder, options } = workerData as ThreadData

function say (message: FromThread, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}

function failed (error: unknown): void {
  say({ type: 'failed', error: told(error) })
}

/** Ends this thread. */
function leave (): void {
  process.exit()
}

/** What can be handed over without a copy. */
function buffersOf (results: ReadonlyArray<Omit<LentResult, 'parts'>>): ArrayBuffer[] {
  return [...new Set(results.flatMap(({ data, logits }) => [
    ...[...data.values()].flatMap(own => tensorsOf(own).map(({ values }) => values.buffer as ArrayBuffer)),
    ...(logits === undefined ? [] : [logits.values.buffer as ArrayBuffer])
  ]))]
}

/** Losses are told at once, x and ∇ĥ part by part. */
async function run (model: LocalModel, { number, pass }: PassMessage): Promise<void> {
  const lent = await model.pass(pass)
  const results = lent.map(({ parts: _, ...result }) => result)
  say({ type: 'done', results }, buffersOf(results))
  try {
    for (const [result, { parts }] of lent.entries()) {
      for await (const part of parts) say({ type: 'part', number, result, part })
      say({ type: 'part', number, result, part: null })
    }
  } catch (error) { // the pass has its answer: `failed` would be the next one's
    say({ type: 'broken', number, error: told(error) })
  }
}

try {
  const memory = new SharedMemory()
  const model = await LocalModel.open(folder, options, line => say({ type: 'log', line }), bytes => memory.take(bytes))
  port.on('message', (message: ToThread) => {
    switch (message.type) {
      case 'pass':
        run(model, message).catch(failed)
        return
      case 'norms':
        model.startNorms(message.sites).then(norms => say({ type: 'norms', norms }), failed)
        return
      case 'free':
        memory.giveBack(message.memory)
        return
      case 'close':
        model.dispose().then(leave, leave)
    }
  })
  const { name, description } = model.engine
  say({ type: 'ready', info: model.info, engine: { name, description } })
} catch (error) {
  failed(error)
}
