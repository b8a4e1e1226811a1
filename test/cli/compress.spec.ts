import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openModelFolder, readMatrix } from '../../src/model/model-folder.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { runCli } from './run-cli.js'

const ROOT = join(import.meta.dirname, '..', '..')
const TINY = join(ROOT, 'models', 'tiny')

interface Report {
  readonly loss: { readonly before: number, readonly truncated: number, readonly fitted: number }
  readonly kept: string
  readonly parameters: { readonly before: number, readonly after: number }
  readonly sites: ReadonlyArray<{ readonly site: string, readonly rank?: number, readonly nonzero?: number, readonly error: number }>
}

describe('colanet compress', function () {
  this.timeout(180_000)
  const folder = temporaryFolder()

  async function compressed (...args: string[]): Promise<Report> {
    const data = join(folder(), 'text.md')
    await writeFile(data, (await readFile(join(ROOT, 'README.md'), 'utf8')).slice(0, 8000))
    const { code, stdout, stderr } = await runCli(['compress', '--json', '--data', data, '--length', '32', '--batch-size', '4', ...args])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Report
  }

  it('halves the feed-forward blocks of the embedded model, and Gradient Learning makes it better than truncation', async () => {
    const out = join(folder(), 'out')
    const { loss, kept, parameters, sites } = await compressed('--steps', '12', '--out', out)
    expect(loss.truncated).to.be.above(loss.before)
    expect(loss.fitted).to.be.below(loss.truncated)
    expect(kept).to.equal('fitted')
    expect(parameters.before).to.equal(2 * 6 * 128 * 512)
    expect(parameters.after).to.equal(12 * 51 * (128 + 512)).and.be.at.most(parameters.before / 2)
    expect(sites.map(({ site, rank }) => [/mlp\.c_(fc|proj)$/.test(site), rank])).to.deep.equal(Array.from({ length: 12 }, () => [true, 51]))
    const [before, after] = await Promise.all([TINY, out].map(async path => (await stat(join(path, 'model.safetensors'))).size))
    expect(before - after).to.be.within(2 * (parameters.before - parameters.after) - 4096, 2 * (parameters.before - parameters.after) + 4096) // float16, and headers
    const { code, stdout, stderr } = await runCli(['generate', '--json', '--model', out, '--prompt', 'The host', '--max-new-tokens', '3'])
    expect(code, stderr).to.equal(0)
    expect(JSON.parse(stdout)).to.be.an('object')
  })

  it('prunes the modules that are named, whose zeros stay', async () => {
    const out = join(folder(), 'out')
    const { loss, sites, parameters } = await compressed('--steps', '6', '--method', 'prune', '--ratio', '0.3', '--sites', 'h.1.mlp.c_fc,h.2.attn.c_proj', '--out', out)
    expect(loss.fitted).to.be.below(loss.truncated)
    expect(sites.map(({ nonzero }) => nonzero)).to.deep.equal([38 * 512, 38 * 128]) // of 128 in each row
    expect(parameters.after).to.equal(38 * 640)
    const [before, after] = await Promise.all([TINY, out].map(async path => await openModelFolder(path)))
    expect(after.network.ranks).to.be.undefined
    for (const { name } of before.network.info.sites.filter(({ name }) => name.includes('.mlp.'))) {
      const { values } = await readMatrix(after, name)
      const nonzero = values.filter(value => value !== 0).length
      if (name === 'transformer.h.1.mlp.c_fc') expect(nonzero).to.equal(38 * 512)
      else expect({ values }).to.deep.equal({ values: (await readMatrix(before, name)).values })
    }
  })

  it('refuses what it cannot do, says why, and leaves nothing behind', async () => {
    const data = join(folder(), 'text.txt')
    await writeFile(data, (await readFile(join(ROOT, 'LICENSE'), 'utf8')))
    const out = ['--out', join(folder(), 'out')]
    for (const [args, said] of [
      [['--data', data, '--out', folder()], 'not empty'],
      [['--data', data, '--sites', 'lm_head', ...out], 'in common with'],
      [['--data', data, '--ratio', '0.001', ...out], '--ratio 0.001']
    ] as const) {
      const { code, stdout, stderr } = await runCli(['compress', ...args])
      expect(code, stderr).to.equal(2)
      expect(stderr).to.include(said)
      expect(stdout).to.equal('')
    }
    expect(await readdir(folder())).to.deep.equal(['text.txt'])
  })
})
