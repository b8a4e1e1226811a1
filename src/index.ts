/**
 * ColaNet in code: what the commands are made of.
 *
 * @example
 * ```ts
 * const node = await ColaNode.start({ folder: '.colanet/host' })
 * const host = new Host({ model: await ModelThread.open({ folder, log: line => { … } }), jobs: node.jobs })
 * const stop = await lend(node, { host, folder })
 *
 * await startBackend() // of a trainer's fits
 * const options = parseTrainOptions({ model: 'gpt2', data: ['notes.txt'] })
 * const report = await trainInMesh(await ColaNode.start({ folder: '.colanet/train' }), options, context)
 * ```
 */
export { BACKENDS, type Backend, type BackendChoice, type BackendName, startBackend } from './engine/backend.js'
export * as errors from './errors.js'
export { type Job, jobId } from './job.js'
export type { EngineOptions } from './engine/open-engine.js'
export type { ModelInfo } from './model/base-model.js'
export { DEFAULT_LIMITS, Host, type HostInit, type HostLimits } from './node/host/host.js'
export { lend, type LendInit } from './node/host/lend.js'
export type { LentModel, LentPass, LentResult } from './node/host/lent-model.js'
export { ModelThread, type ModelThreadInit } from './node/host/model-thread.js'
export { InvalidIdentityError } from './node/identity.js'
export { ColaNode, type ColaNodeInit } from './node/node.js'
export type { JobsNetwork } from './node/jobs.js'
export type { Reporter } from './node/reporter.js'
export { parseTrainOptions, type TrainOptions } from './node/trainer/options.js'
export type { TrainContext } from './node/trainer/place.js'
export { trainInMesh, trainLocally, type TrainReport } from './node/trainer/train.js'
export { type TasksReport, trainTasksInMesh, trainTasksLocally } from './node/trainer/train-tasks.js'
export type * from './types.js'
