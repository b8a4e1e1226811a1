import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { temporaryFolder } from '../support/temporary-folder.js'
import { runCli } from './run-cli.js'

const ROOT = join(import.meta.dirname, '..', '..')

interface Report {
  readonly model: string
  readonly engine: string
  readonly loss: number
  readonly perplexity: number
  readonly unquantized?: { readonly loss: number, readonly perplexity: number }
  readonly lossDifference?: number
}

describe('colanet eval --base-quantize', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()

  async function evaluated (...args: string[]): Promise<{ report: Report, stderr: string }> {
    const data = join(folder(), 'LICENSE.txt')
    await writeFile(data, await readFile(join(ROOT, 'LICENSE')))
    const { code, stdout, stderr } = await runCli(['eval', '--json', '--data', data, '--length', '16', '--max-rows', '8', ...args])
    expect(code, stderr).to.equal(0)
    return { report: JSON.parse(stdout) as Report, stderr }
  }

  for (const kind of ['int8', 'nf4']) {
    it(`tells the loss of the quantised model, of the one that it was, and what lies between, ${kind}`, async () => {
      const { report: plain } = await evaluated()
      expect(plain).to.not.have.any.keys('unquantized', 'lossDifference')
      const { report, stderr } = await evaluated('--base-quantize', kind)
      expect(report.engine).to.match(new RegExp(`-${kind}$`))
      expect(report.model).to.not.equal(plain.model)
      expect(report.unquantized).to.deep.equal({ loss: plain.loss, perplexity: plain.perplexity })
      expect(report.lossDifference).to.equal(report.loss - plain.loss)
      expect(Math.abs(report.lossDifference!) / plain.loss).to.be.above(0).and.below(0.02)
      expect(stderr).to.match(new RegExp(`matrices in ${kind}, which moves them by [\\d.]+ %`))
    })
  }

  it('refuses other kinds, and says which there are', async () => {
    const { code, stderr } = await runCli(['eval', '--data', 'LICENSE', '--base-quantize', 'int4'])
    expect(code).to.equal(2)
    expect(stderr).to.include('int8').and.to.include('nf4')
  })
})
