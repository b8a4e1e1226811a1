import '../../src/cli/stdout.js'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { writeToStdout } from '../../src/cli/stdout.js'
import { needNorms } from '../../src/auxiliary-spec.js'
import { readBatchFile } from '../../src/data/batch-file.js'
import { startBackend } from '../../src/engine/backend.js'
import { createLearner, planOf } from '../../src/node/trainer/plan.js'
import { layoutOf, wireFormOf } from '../../src/node/trainer/wire-form.js'
import { decodeAdaptation } from '../../src/tensor/adaptation.js'
import { decodeWeightNorms } from '../../src/tensor/weight-norms.js'
import { timed } from '../bench/interleaved.js'
import type { CostPart, CostTrainerInit, CostTrainerStep } from './cost-init.js'

/** A trainer's process: for each line, which says where the adaptation data of a step are, one fit. */
const { options, info, norms: encoded } = JSON.parse(process.argv[2]) as CostTrainerInit

await startBackend()
const plan = await planOf(options, info)
const batch = await readBatchFile(options.batch ?? '')
const wire = wireFormOf(options.wire, plan.auxiliary, plan.fitted, batch)
const norms = needNorms(plan.job.kinds) ? decodeWeightNorms(Buffer.from(encoded, 'base64'), plan.sites) : new Map()
const learner = createLearner(options, plan, { norms })

async function fit (parts: readonly CostPart[]): Promise<CostTrainerStep> {
  let fit = 0
  for (const { sites, path } of parts) {
    const bytes = await readFile(path)
    fit += await timed(async () => {
      const own = plan.fitted.filter(({ name }) => sites.includes(name))
      for (const [site, data] of decodeAdaptation(bytes, layoutOf({ wire, auxiliary: plan.auxiliary }, own, batch))) learner.gather(site, data)
      await Promise.resolve()
    })
  }
  fit += await timed(async () => {
    learner.endBatch()
    await learner.fit()
  })
  return { fit }
}

await writeToStdout('{}\n')
for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') continue
  await writeToStdout(`${JSON.stringify(await fit(JSON.parse(line) as CostPart[]))}\n`)
}
process.exit()
