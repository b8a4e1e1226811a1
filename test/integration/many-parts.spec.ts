import { join } from 'node:path'
import { expect } from 'chai'
import { reportOf, Scene } from './scene.js'

const ROOT = join(import.meta.dirname, '..', '..')
const MODEL = join(ROOT, 'models', 'tiny')

/** 24 sites and 1,024 tokens: 50 MB a step, which are more parts than a trainer has places for. */
const OPTIONS = ['--model', MODEL, '--data', join(ROOT, 'README.md'), '--sites', 'c_attn,c_proj,c_fc', '--batch-size', '8', '--length', '128', '--steps', '3', '--held-out', '0']

describe('steps whose adaptation data are many parts', function () {
  this.timeout(300_000)
  let scene: Scene
  before(async () => {
    scene = await Scene.open()
    scene.host('host', '--model', MODEL, '--threads', '1')
  })
  after(async () => { await scene.close() })

  for (const wire of ['f32', 'bf16', 'f16', 'product', 'int8']) {
    it(`give through the mesh what they give locally, ${wire}`, async () => {
      const overMesh = await reportOf(scene.train(`trainer-${wire}`, ...OPTIONS, '--wire', wire, '--job', wire))
      const locally = await reportOf(scene.local(`local-${wire}`, ...OPTIONS, '--wire', wire, '--job', wire, '--threads', '1'))
      expect(overMesh.losses).to.have.lengthOf(3).and.deep.equal(locally.losses)
      expect(overMesh.deltaHash).to.equal(locally.deltaHash)
    })
  }
})
