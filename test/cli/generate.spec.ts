import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { seeded } from '../merge/random.js'
import { writeModel } from '../model/random-model.js'
import { FIXTURES } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { runCli } from './run-cli.js'

const TINY = join(import.meta.dirname, '..', '..', 'models', 'tiny')

interface Report {
  readonly text: string
  readonly tokens: readonly number[]
  readonly prompt: string
}

describe('colanet generate', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()

  async function generated (...args: string[]): Promise<Report> {
    const { code, stdout, stderr } = await runCli(['generate', '--prompt', 'Permission is hereby granted', '--json', ...args])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Report
  }

  it('continues a text, always the same where it takes the likeliest', async () => {
    const [first, second] = [await generated('--max-new-tokens', '12'), await generated('--model', TINY, '--max-new-tokens', '12')]
    expect(first.tokens).to.have.lengthOf.within(1, 12)
    expect(second.tokens).to.deep.equal(first.tokens)
    expect(first.text).to.not.equal('')
  })

  it('draws as the seed decides', async () => {
    const drawn = async (seed: string): Promise<readonly number[]> => (await generated('--temperature', '1.5', '--max-new-tokens', '12', '--seed', seed)).tokens
    expect(await drawn('1')).to.deep.equal(await drawn('1'))
    expect(await drawn('1')).to.not.deep.equal(await drawn('2'))
  })

  it('answers a text where the model makes one of another, with the tokens that its folder forces', async () => {
    const path = join(folder(), 't5')
    await writeModel(path, { model_type: 't5', vocab_size: 710, d_model: 12, d_kv: 4, d_ff: 9, num_layers: 1, num_heads: 2 }, seeded(1))
    await cp(join(FIXTURES, 'tokenizers', 't5'), path, { recursive: true })
    await writeFile(join(path, 'generation_config.json'), '{"forced_bos_token_id":7,"forced_eos_token_id":9,"no_repeat_ngram_size":1}')
    const { tokens } = await generated('--model', path, '--max-new-tokens', '5')
    expect([tokens.length, tokens[0], tokens[4]]).to.deep.equal([5, 7, 9])
    expect(new Set(tokens.slice(0, 4)).size).to.equal(4) // what is forced may have come before
    const { stdout } = await runCli(['generate', '--prompt', 'Permission', '--model', path, '--max-new-tokens', '5'])
    expect(stdout).to.not.include('Permission')
  })

  it('refuses what it cannot do, and says why', async () => {
    for (const [args, code, said] of [
      [[], 2, '--prompt'],
      [['--prompt', 'x', '--top-p', '0'], 2, '--top-p'],
      [['--prompt', ''], 2, '--prompt'],
      [['--prompt', 'x', '--model', join(FIXTURES, 'none')], 2, 'none'],
      [['--prompt', 'x', '--adapter', join(FIXTURES, 'qwen3', 'adapter')], 2, 'q_proj'],
      [['--prompt', 'x', '--adapter', join(FIXTURES, 'gpt2-long', 'adapter')], 2, 'lora_A.weight']
    ] as const) {
      const { code: actual, stdout, stderr } = await runCli(['generate', ...args])
      expect(actual, stderr).to.equal(code)
      expect(stderr).to.include(said)
      expect(stdout).to.equal('')
    }
  })
})
