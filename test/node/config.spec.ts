import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { type NodeConfig, readNodeConfig } from '../../src/node/config.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

const HOST = { model: 'models/tiny' }
const TRAIN = { model: 'models/tiny', data: ['texts'] }

describe('a node\'s configuration', () => {
  const folder = temporaryFolder()
  const path = (): string => join(folder(), 'node.json')

  async function read (config: unknown): Promise<NodeConfig> {
    await writeFile(path(), typeof config === 'string' ? config : JSON.stringify(config))
    return await readNodeConfig(path())
  }

  it('of a host says no more than its model', async () => {
    expect(await read({ host: HOST })).to.deep.equal({ folder: '.colanet/node', host: { ...HOST, limits: {} }, train: [] })
  })

  it('of a trainer says no more than its model and data: all else is as on the command line', async () => {
    expect(await read({ train: [TRAIN] })).to.deep.equal({ folder: '.colanet/node', train: [parseTrainOptions(TRAIN)] })
  })

  it('is taken as it is said', async () => {
    const config = {
      folder: 'here',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: ['/ip4/127.0.0.1/tcp/4001'],
      mdns: false,
      localFolder: 'local',
      host: { model: 'models/tiny', limits: { rows: 1, tokens: 2, rank: 3 }, quotas: { tokensPerMinute: 4, jobs: 5, waitingBytes: 6 } },
      train: [{ ...parseTrainOptions({ ...TRAIN, mode: 'joint', steps: 7, seed: 2 ** 32 - 1 }) }, { ...parseTrainOptions({ model: 'other', batch: 'one.safetensors', lr: 0.1, maxGradNorm: 1, clip: 'auxiliary' }) }]
    }
    expect(await read(config)).to.deep.equal(config)
  })

  it('may switch off that nodes on this machine are looked for, but not ask for it without a folder', async () => {
    expect((await read({ host: HOST, localFolder: false })).localFolder).to.equal(false)
    expect((await failureOf(read({ host: HOST, localFolder: true }))).name).to.equal('InvalidOptionError')
  })

  describe('is refused by its path:', () => {
    const wrong: Record<string, unknown> = {
      'an empty file': '',
      'what is not JSON': 'host: models/tiny',
      'JSON that is cut': '{"host": {"model": "models/tiny"}',
      'JSON with a comment': '{"host": {"model": "models/tiny"}} // mine',
      null: null,
      'a list': [{ host: HOST }],
      'no role': {},
      'an empty list of jobs': { train: [] },
      'an unknown key': { host: HOST, surprise: true },
      'an unknown key of the host': { host: { ...HOST, surprise: true } },
      'an unknown limit': { host: { ...HOST, limits: { row: 1 } } },
      'an unknown key of a job': { train: [{ ...TRAIN, batchsize: 4 }] },
      'no model of the host': { host: {} },
      'an empty model of the host': { host: { model: '' } },
      'a limit of 0': { host: { ...HOST, limits: { tokens: 0 } } },
      'half a row': { host: { ...HOST, limits: { rows: 1.5 } } },
      'a limit as text': { host: { ...HOST, limits: { rank: '8' } } },
      'an empty folder': { host: HOST, folder: '' },
      'an address that is not in a list': { host: HOST, listen: '/ip4/127.0.0.1/tcp/0' },
      'mdns as text': { host: HOST, mdns: 'false' },
      'a job that is not in a list': { train: TRAIN },
      'a job without a model': { train: [{ data: ['texts'] }] },
      'a job of a negative rate': { train: [{ ...TRAIN, lr: -1 }] },
      'a job of no steps': { train: [{ ...TRAIN, steps: 0 }] },
      'a job that clips what is not known': { train: [{ ...TRAIN, maxGradNorm: 1, clip: 'site' }] },
      'a job in an unknown mode': { train: [{ ...TRAIN, mode: 'together' }] },
      'the second job': { train: [TRAIN, { ...TRAIN, optimizer: 'adam' }] }
    }
    for (const [what, config] of Object.entries(wrong)) {
      it(what, async () => {
        const failure = await failureOf(read(config))
        expect(failure.name).to.equal('InvalidOptionError')
        expect(failure.message).to.include(path())
      })
    }

    it('no file at all', async () => {
      const failure = await failureOf(readNodeConfig(path()))
      expect(failure.name).to.equal('InvalidOptionError')
      expect(failure.message).to.include(path())
    })

    it('a folder', async () => {
      await mkdir(path())
      expect((await failureOf(readNodeConfig(path()))).name).to.equal('InvalidOptionError')
    })
  })

  describe('is refused for a job', () => {
    const wrong: Record<string, object> = {
      'without data': { model: 'models/tiny' },
      'that clips each auxiliary to no norm': { ...TRAIN, clip: 'auxiliary' },
      'with data and a batch': { ...TRAIN, batch: 'one.safetensors' },
      'of one auxiliary that starts from an adapter': { ...TRAIN, mode: 'joint', adapter: 'adapters/mine' }
    }
    for (const [what, job] of Object.entries(wrong)) {
      it(what, async () => {
        expect((await failureOf(read({ train: [TRAIN, job] }))).name).to.equal('InvalidOptionError')
      })

      it(`${what}, by the path`, async () => {
        expect((await failureOf(read({ train: [TRAIN, job] }))).message).to.include(path())
      })
    }
  })

  it('says what is wrong where', async () => {
    expect((await failureOf(read({ train: [TRAIN, { ...TRAIN, batchSize: 'many' }] }))).message).to.include('train[1].batchSize')
  })
})
