import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../../src/tensor/safetensors.js'
import type { NamedTensors, TensorData } from '../../src/types.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readTensors } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { errorName, runCli } from './run-cli.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const BATCH = join(MODEL, 'batch.safetensors')

describe('colanet step', () => {
  const folder = temporaryFolder()

  for (const name of ['gpt2-odd', 'gpt2-sharded', 'gpt2-half']) {
    it(`gives what PyTorch gives for ${name}`, async () => {
      const out = join(folder(), 'deep', 'out.safetensors')
      const model = join(FIXTURES, name)
      const args = ['--model', model, '--batch', join(model, 'batch.safetensors'), '--sites', 'c_attn,c_proj,c_fc', '--out', out]
      const { code, stdout, stderr } = await runCli(['step', ...args, '--json'])
      expect(code, stderr).to.equal(0)
      const golden = await readTensors(name, 'golden.safetensors')
      const { tensors } = decodeSafetensors(await readFile(out))
      expect([...tensors.keys()].sort()).to.deep.equal([...golden.keys()].filter(key => !key.includes('lm_head')).sort())
      for (const [key, tensor] of tensors) {
        const expected = floatTensor(golden, key)
        expect(tensor.shape, key).to.deep.equal(expected.shape)
        expect(relativeError(tensor.values, expected.values), key).to.be.below(1e-4)
      }
      const report = JSON.parse(stdout) as Record<string, unknown>
      expect(report).to.include.keys('model', 'loss', 'tokens', 'sites', 'engine', 'out', 'milliseconds')
      expect(Math.fround(report.loss as number)).to.equal(floatTensor(tensors, 'loss').values[0])
      expect(report.sites).to.have.length((tensors.size - 2) / 2)
    })
  }

  it('takes the sites that are usual for the model, all ones as a mask, and int32', async () => {
    const batch = await readTensors('gpt2-odd', 'batch.safetensors')
    const path = join(folder(), 'in.safetensors')
    await writeFile(path, encodeSafetensors(without(batch, 'attention_mask')))
    const out = join(folder(), 'out.safetensors')
    const { code, stdout, stderr } = await runCli(['step', '--model', MODEL, '--batch', path, '--out', out])
    expect(code, stderr).to.equal(0)
    expect(stdout).to.match(/^loss \d/)
    const { tensors } = decodeSafetensors(await readFile(out))
    expect([...tensors.keys()].filter(key => key.startsWith('grad.'))).to.deep.equal([0, 1].map(i => `grad.transformer.h.${i}.attn.c_attn`))
  })

  const bad: ReadonlyArray<readonly [what: string, name: string, args: Readonly<Record<string, string>>]> = [
    ['no model there', 'InvalidModelError', { model: '/nowhere' }],
    ['a folder that is no model', 'InvalidModelError', { model: FIXTURES }],
    ['no batch there', 'InvalidTensorError', { batch: '/nowhere.safetensors' }],
    ['a batch that is no safetensors', 'InvalidTensorError', { batch: join(MODEL, 'config.json') }],
    ['safetensors that are no batch', 'InvalidBatchError', { batch: join(MODEL, 'model.safetensors') }],
    ['a batch of a larger vocabulary', 'InvalidBatchError', { model: join(FIXTURES, 'gpt2-half') }],
    ['a site that the model has not', 'UnknownSiteError', { sites: 'c_attn,q_proj' }],
    ['an empty site', 'InvalidOptionError', { sites: 'c_attn,' }],
    ['a backend that is not known', 'InvalidOptionError', { backend: 'abacus' }]
  ]
  for (const [what, name, args] of bad) {
    it(`refuses ${what} with ${name} and writes nothing`, async () => {
      const all = { model: MODEL, batch: BATCH, out: join(folder(), 'out.safetensors'), ...args }
      const { code, stdout, stderr } = await runCli(['step', '--json', ...Object.entries(all).flatMap(([key, value]) => [`--${key}`, value])])
      expect(errorName(stdout), stderr).to.equal(name)
      expect(code).to.equal(2)
      expect(stderr).to.include(`colanet: ${name}: `).and.not.match(/\n {4}at /)
      expect(await readdir(folder())).to.deep.equal([])
    })
  }

  it('refuses to write over a folder, and to where nothing can be written', async () => {
    const over = await runCli(['step', '--model', MODEL, '--batch', BATCH, '--out', folder(), '--json'])
    expect(errorName(over.stdout)).to.equal('InvalidOptionError')
    const below = await runCli(['step', '--model', MODEL, '--batch', BATCH, '--out', join(BATCH, 'out.safetensors'), '--json'])
    expect(below.code, below.stderr).to.equal(2)
  })
})

function without (tensors: NamedTensors, name: string): Map<string, TensorData> {
  return new Map([...tensors].filter(([key]) => key !== name))
}
