import '../../src/cli/stdout.js'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { peerIdFromString } from '@libp2p/peer-id'
import { writeToStdout } from '../../src/cli/stdout.js'
import { readBatchFile } from '../../src/data/batch-file.js'
import { startBackend } from '../../src/engine/backend.js'
import { Host, type HostedStep, UNLIMITED } from '../../src/node/host/host.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import { createLearner, planOf } from '../../src/node/trainer/plan.js'
import { wireFormOf } from '../../src/node/trainer/wire-form.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import { encodeWeightNorms } from '../../src/tensor/weight-norms.js'
import { jobsOfNewPeer } from '../bench/c-attn-job.js'
import { timed } from '../bench/interleaved.js'
import { randomAdapter } from '../bench/random-adapter.js'
import type { CostHostInit, CostHostReady, CostHostStep, CostPart } from './cost-init.js'

/**
 * A host of one trainer: for each line one step, with an auxiliary that has changed since the last one as after a fit, so
 * that what is merged is merged anew. The fit is done here too, or the adaptation data are written for the trainer's process.
 */
const { options, folder, threads } = JSON.parse(process.argv[2]) as CostHostInit

const { signal } = new AbortController()
const model = await ModelThread.open({ folder: options.model, log: line => process.stderr.write(`${line}\n`), ...(threads !== undefined && { threads }) })
const plan = await planOf(options, model.info)
const batch = await readBatchFile(options.batch ?? '')
const store = new BlobStore() // of host and trainer, so that nothing has to be pulled
const host = new Host({ model, jobs: await jobsOfNewPeer(store), limits: UNLIMITED })
const joined = (await jobsOfNewPeer(store)).join(plan.job, plan.sites)
host.open(plan.job)
const norms = await host.startNorms(plan.job)
const wire = wireFormOf(options.wire, plan.auxiliary, plan.fitted, batch)
if (folder === null) await startBackend()
const learner = folder === null ? createLearner(options, plan, { norms }) : undefined
let steps = 0

async function step (): Promise<CostHostStep> {
  const adapter = learner === undefined ? randomAdapter(plan.fitted, steps, plan.auxiliary) : await learner.adapter()
  const contribution = await joined.contribute(adapter, { tokens: steps++, final: false })
  const sites = plan.fitted.map(({ name }) => name)
  const parts: CostPart[] = []
  let data: HostedStep['data'] = new Map()
  let writing = 0
  const all = await timed(async () => {
    const hosted = await host.step(peerIdFromString(joined.peer), { job: joined.id, step: steps, purpose: 'train', adapted: true, wire, sites, contribution, batch }, folder === null ? 'tensors' : 'parts', signal)
    data = hosted.data
    for await (const part of hosted.parts) {
      const path = join(folder ?? '', `${parts.length}.bin`)
      writing += await timed(async () => await writeFile(path, part.bytes))
      part.release?.()
      parts.push({ sites: part.sites, path, bytes: part.bytes.byteLength })
    }
  })
  const pass = all - writing
  if (learner === undefined) return { pass, fit: null, parts }
  const fit = await timed(async () => {
    for (const [site, own] of data) learner.gather(site, own)
    learner.endBatch()
    await learner.fit()
  })
  return { pass, fit, parts }
}

await writeToStdout(`${JSON.stringify({ info: model.info, norms: Buffer.from(encodeWeightNorms(norms)).toString('base64') } satisfies CostHostReady)}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') continue
  await writeToStdout(`${JSON.stringify(await step())}\n`)
}
process.exit()
