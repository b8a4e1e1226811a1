import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { decodeSafetensors } from '../../src/tensor/safetensors.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readJson, readTensors } from '../support/fixtures.js'
import { reportOf, Scene } from './scene.js'

interface Curve {
  /** The fixture that is its base model. */
  readonly base: string
  readonly sites: readonly string[]
  readonly optimizer: string
  readonly lr: number
  readonly weight_decay: number
  readonly schedule: string
  readonly losses: readonly number[]
}

describe('colanet train --local, from an adapter that PEFT wrote', function () {
  this.timeout(60_000)
  let scene: Scene

  before(async () => { scene = await Scene.open() })
  after(async () => { await scene.close() })

  for (const name of ['adamw', 'adamw-both', 'sgd', 'embedding', 'llama', 'bert', 'bert-classifier', 'bart', 't5', 'vit', 'ia3', 'ia3-bert', 'dora', 'dora-bert', 'dora-llama']) {
    it(`follows PEFT's curve and ends where PEFT ends: ${name}`, async () => {
      const curve = await readJson('peft', name, 'curve.json') as Curve
      const out = join(scene.folder, name)
      const { losses } = await reportOf(scene.local('local', '--model', join(FIXTURES, curve.base), '--batch', join(FIXTURES, curve.base, 'batch.safetensors'),
        '--adapter', join(FIXTURES, 'peft', name, 'start'), '--sites', curve.sites.join(), '--optimizer', curve.optimizer, '--lr', String(curve.lr),
        '--weight-decay', String(curve.weight_decay), '--schedule', curve.schedule, '--steps', String(curve.losses.length), '--out', out,
        ...(curve.optimizer === 'sgd' ? ['--max-grad-norm', '1'] : [])))
      expect(losses).to.have.lengthOf(curve.losses.length)
      for (const [step, loss] of losses.entries()) expect(Math.abs(loss - curve.losses[step]) / curve.losses[step], `step ${step}`).to.be.below(1e-4)

      const { tensors } = decodeSafetensors(await readFile(join(out, 'adapter_model.safetensors')))
      const end = await readTensors('peft', name, 'end.safetensors')
      expect([...tensors.keys()].map(key => key.replace('base_model.model.', '')).sort()).to.deep.equal([...end.keys()].sort())
      for (const [key, { values }] of end) expect(relativeError(tensors.get(`base_model.model.${key}`)!.values, values), key).to.be.below(1e-4)
    })
  }
})
