import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { temporaryFolder } from '../support/temporary-folder.js'
import { FIXTURES } from '../support/fixtures.js'
import { runCli } from './run-cli.js'

const ROOT = join(import.meta.dirname, '..', '..')

interface Report {
  readonly loss: number
  readonly perplexity: number
  readonly tokens: number
  readonly rows: number
}

describe('colanet eval', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()

  async function evaluated (...args: string[]): Promise<Report> {
    const { code, stdout, stderr } = await runCli(['eval', '--json', ...args])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Report
  }

  it('tells the mean loss over all tokens, however they are batched', async () => {
    const data = join(folder(), 'LICENSE.txt')
    await writeFile(data, await readFile(join(ROOT, 'LICENSE')))
    const all = await evaluated('--data', data, '--length', '16')
    expect(all.perplexity).to.be.closeTo(Math.exp(all.loss), 1e-9)
    expect(all.tokens).to.be.above(all.rows)
    const apart = await evaluated('--data', data, '--length', '16', '--batch-size', '3')
    expect(apart).to.include({ tokens: all.tokens, rows: all.rows })
    expect(Math.abs(apart.loss - all.loss) / all.loss).to.be.below(1e-5)
    expect((await evaluated('--data', data, '--length', '16', '--max-rows', '2')).rows).to.equal(2)
  })

  it('names file and line of a row that is damaged', async () => {
    const [jsonl, csv] = [join(folder(), 'rows.jsonl'), join(folder(), 'rows.csv')]
    await writeFile(jsonl, '{"text": "whole"}\n{"text": \n')
    await writeFile(csv, 'text\nwhole\n"never closed\n')
    for (const [path, line] of [[jsonl, 2], [csv, 3]] as const) {
      const { code, stderr } = await runCli(['eval', '--data', path])
      expect(code).to.equal(2)
      expect(stderr).to.include(`${path}, line ${line}`)
    }
  })

  it('refuses what it cannot do, and says why', async () => {
    const data = join(folder(), 'notes.txt')
    await writeFile(data, 'some words to predict, and some more')
    for (const [args, said] of [
      [[], '--data'],
      [['--data', data, '--length', '100000'], '--length'],
      [['--data', data, '--adapter', join(FIXTURES, 'qwen3', 'adapter')], 'q_proj'],
      [['--data', data, '--model', join(folder(), 'none')], 'none']
    ] as const) {
      const { code, stderr } = await runCli(['eval', ...args])
      expect(code, stderr).to.equal(2)
      expect(stderr).to.include(said)
    }
  })
})
