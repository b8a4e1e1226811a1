import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { describeModel } from '../../src/model/base-model.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { runCli } from './run-cli.js'

const CONFIG = JSON.stringify({ model_type: 'mlp-classifier', num_channels: 1, image_size: [3, 4], num_labels: 2, hidden_sizes: [5] })

describe('colanet init', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()

  it('makes a model that is there to be loaded, from what was typed or a file, as the seed decides', async () => {
    const file = join(folder(), 'config.json')
    await writeFile(file, CONFIG)
    const made = async (config: string, out: string, seed: string): Promise<string> => {
      const path = join(folder(), out)
      const { code, stdout, stderr } = await runCli(['init', '--config', config, '--out', path, '--seed', seed, '--json'])
      expect(code, stderr).to.equal(0)
      expect(JSON.parse(stdout)).to.deep.equal({ folder: path, seed: Number(seed), parameters: 5 * 12 + 5 + 2 * 5 + 2 })
      expect((await readdir(path)).sort()).to.deep.equal(['config.json', 'model.safetensors'])
      expect(JSON.parse(await readFile(join(path, 'config.json'), 'utf8'))).to.deep.equal(JSON.parse(CONFIG))
      return (await describeModel(path)).id
    }
    const typed = await made(CONFIG, 'typed', '1')
    expect(await made(file, 'read', '1')).to.equal(typed)
    expect(await made(file, 'other', '2')).to.not.equal(typed)
  })

  it('refuses what it cannot do, says why, and replaces nothing', async () => {
    await writeFile(join(folder(), 'kept'), 'x')
    const out = join(folder(), 'out')
    for (const [args, said] of [
      [['--config', CONFIG, '--out', folder()], 'is not empty'],
      [['--config', join(folder(), 'none'), '--out', out], 'cannot be read'],
      [['--config', '{"model_type"', '--out', out], 'not JSON']
    ] as const) {
      const { code, stdout, stderr } = await runCli(['init', ...args])
      expect(code, stderr).to.equal(2)
      expect(stderr).to.include(said)
      expect(stdout).to.equal('')
    }
    expect(await readdir(folder())).to.deep.equal(['kept'])
  })
})
