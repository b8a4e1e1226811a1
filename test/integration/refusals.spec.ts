import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { FIXTURES } from '../support/fixtures.js'
import { failureOf, Scene } from './scene.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const BATCH = join(MODEL, 'batch.safetensors')

describe('colanet train refuses, with the name of the error and its exit code', function () {
  this.timeout(60_000)
  let scene: Scene

  before(async () => {
    scene = await Scene.open()
    await writeFile(join(scene.folder, 'empty.txt'), '')
  })

  after(async () => { await scene.close() })

  const wrong: ReadonlyArray<readonly [what: string, name: string, args: readonly string[]]> = [
    ['a folder that is not there', 'InvalidOptionError', ['--model', '/nowhere', '--batch', BATCH]],
    ['a folder that is no model', 'InvalidModelError', ['--model', join(FIXTURES, 'peft'), '--batch', BATCH]],
    ['a site that the model lacks', 'UnknownSiteError', ['--model', MODEL, '--batch', BATCH, '--sites', 'q_proj']],
    ['rank 0', 'InvalidOptionError', ['--model', MODEL, '--batch', BATCH, '--rank', '0']],
    ['neither data nor batch', 'InvalidOptionError', ['--model', MODEL]],
    ['data in which there is nothing', 'InvalidDataError', ['--model', join(FIXTURES, '..', '..', 'models', 'tiny'), '--data', 'EMPTY']],
    ['a batch of another model', 'InvalidBatchError', ['--model', join(FIXTURES, 'gpt2-half'), '--batch', join(FIXTURES, 'gpt2-sharded', 'batch.safetensors')]]
  ]
  for (const [what, name, args] of wrong) {
    it(what, async () => {
      const failure = await failureOf(scene.local('local', ...args.map(arg => arg === 'EMPTY' ? join(scene.folder, 'empty.txt') : arg)))
      expect(failure.name).to.equal(name)
      expect(failure.code).to.equal(2)
    })
  }

  it('to wait longer for a host than it was told to', async () => {
    const failure = await failureOf(scene.train('lonely', '--model', MODEL, '--batch', BATCH, '--patience', '1'))
    expect(failure.name).to.equal('NoHostError')
    expect(failure.code).to.equal(3)
  })
})
