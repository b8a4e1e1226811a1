import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readGenerationConfig } from '../../src/model/generation-config.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'

describe('what a model says of the texts that it makes', () => {
  const root = temporaryFolder()

  async function folderWith (files: Readonly<Record<string, string>>): Promise<string> {
    const folder = join(root(), 'model')
    await mkdir(folder)
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    return folder
  }

  it('is its end tokens, what is forced, and what comes but once', async () => {
    const json = { bos_token_id: 0, eos_token_id: 2, forced_bos_token_id: 0, forced_eos_token_id: 2, no_repeat_ngram_size: 3, num_beams: 4, min_length: 56 } // of facebook/bart-large-cnn
    const folder = await folderWith({ 'generation_config.json': JSON.stringify(json), 'config.json': '{"eos_token_id":7}' })
    expect(await readGenerationConfig(folder)).to.deep.equal({ endTokens: [2], firstToken: 0, lastToken: 2, noRepeatNgramSize: 3 })
  })

  it('may be several end tokens, and nothing else', async () => {
    const folder = await folderWith({ 'generation_config.json': '{"eos_token_id":[5,3],"forced_bos_token_id":null}', 'config.json': '{"forced_eos_token_id":1}' })
    expect(await readGenerationConfig(folder)).to.deep.equal({ endTokens: [5, 3] })
  })

  it('stands in config.json where it has no file of its own', async () => {
    const folder = await folderWith({ 'config.json': '{"model_type":"bart","eos_token_id":2,"forced_eos_token_id":[4,2]}' })
    expect(await readGenerationConfig(folder)).to.deep.equal({ endTokens: [2], lastToken: 2 })
  })

  it('is nothing where there is no file', async () => {
    expect(await readGenerationConfig(await folderWith({}))).to.deep.equal({})
  })

  for (const text of ['{', '[]', '{"eos_token_id":"</s>"}', '{"no_repeat_ngram_size":-1}', '{"eos_token_id":[]}']) {
    it(`is refused where it is ${text}`, async () => {
      expect(await failureOf(readGenerationConfig(await folderWith({ 'generation_config.json': text })))).to.have.property('name', 'InvalidModelError')
    })
  }
})
