import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { parseTrainOptions } from '../../../src/node/trainer/options.js'
import { trainLocally } from '../../../src/node/trainer/train.js'
import type { WireForm } from '../../../src/types.js'
import { soon } from '../../protocols/nodes.js'
import { FIXTURES } from '../../support/fixtures.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const STEPS = 8

describe('training on rounded pairs', function () {
  this.timeout(60_000)
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'colanet-rounded-'))
    await startBackend()
  })
  after(async () => { await rm(folder, { recursive: true, force: true }) })

  /** SGD, which moves by what gradients are; what Adam divides by their size would tell less of them. */
  async function lossesOf (wire: WireForm, more: object): Promise<readonly number[]> {
    const options = parseTrainOptions({ model: MODEL, batch: join(MODEL, 'batch.safetensors'), steps: STEPS, rank: 2, optimizer: 'sgd', schedule: 'constant', seed: 5, out: join(folder, 'out'), wire, ...more })
    const { losses } = await trainLocally(options, { folder, reporter: { progress: () => { /* not looked at */ }, log: () => { /* nor this */ } }, signal: soon() })
    return losses
  }

  for (const [name, more] of Object.entries({
    'low-rank': { lr: 0.2 },
    linear: { lr: 0.05, aux: 'linear' },
    mlp: { lr: 0.05, aux: 'mlp' },
    'ia3, which needs f(x) as well': { lr: 0.5, aux: 'ia3' },
    'dora, which needs Wx and norms as well': { lr: 0.2, aux: 'dora' },
    'an embedding, of which x are integers': { lr: 0.1, sites: ['wte'] }
  })) {
    it(`learns as on float32, in f16 nearer to it than in bf16: ${name}`, async () => {
      const [exact, bf16, f16] = [await lossesOf('f32', more), await lossesOf('bf16', more), await lossesOf('f16', more)]
      const learned = exact[0] - exact[STEPS - 1]
      const off = (losses: readonly number[]): number => Math.max(...losses.map((loss, step) => Math.abs(loss - exact[step]))) / learned
      expect(learned).to.be.above(0.01)
      expect(off(f16)).to.be.above(0).and.below(1e-3)
      expect(off(f16)).to.be.below(off(bf16))
    })
  }
})
