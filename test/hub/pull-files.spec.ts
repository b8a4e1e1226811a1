import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readAdapter } from '../../src/gl/peft/read-adapter.js'
import { chooseFiles } from '../../src/hub/choose-files.js'
import { makeFolder, pullFiles, type Pulled } from '../../src/hub/pull-files.js'
import { openRepository } from '../../src/hub/repository.js'
import { describeModel } from '../../src/model/base-model.js'
import { failureOf } from '../support/failure.js'
import { FIXTURES } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { type Files, filesOf, FIRST_COMMIT, HubServer, modelOf, SECOND_COMMIT } from './hub-server.js'
import { connect, MODEL } from './pulling.js'

const SHARDED = join(FIXTURES, 'gpt2-sharded')
const SINGLE = join(FIXTURES, 'gpt2-odd')

describe('pullFiles', () => {
  const folder = temporaryFolder()
  let hub: HubServer
  let [sharded, single]: Files[] = []
  before(async () => {
    [sharded, single] = await Promise.all([filesOf(SHARDED), filesOf(SINGLE)])
  })
  beforeEach(async () => {
    hub = await HubServer.start({
      [MODEL]: { commits: { [FIRST_COMMIT]: sharded, [SECOND_COMMIT]: single }, revisions: { main: FIRST_COMMIT, single: SECOND_COMMIT } }
    })
  })
  afterEach(async () => await hub.stop())

  async function pull (options: Parameters<typeof connect>[1] & { onProgress?: (what: string, done: number, total: number) => void } = {}): Promise<Pulled> {
    const connection = connect(hub, options)
    const repository = await openRepository(connection)
    return await pullFiles({ connection, repository, choice: chooseFiles(repository), folder: folder(), signal: new AbortController().signal, log: () => {}, ...options })
  }

  it('brings a model in shards that loads as the original does', async () => {
    const progress: Array<[string, number, number]> = []
    const { files, bytes, downloaded } = await pull({ onProgress: (...state) => progress.push(state) })
    expect((await describeModel(folder())).id).to.equal((await describeModel(SHARDED)).id)
    const names = await readdir(folder())
    expect(names).to.deep.equal(Object.keys(sharded).filter(name => !/^(batch|golden)/.test(name)).sort())
    expect(files).to.equal(names.length)
    expect(downloaded).to.equal(bytes)
    expect(hub.contents.reduce((sum, { sent }) => sum + sent, 0)).to.equal(bytes)
    expect(progress.at(-1)).to.deep.equal(['downloading', bytes, bytes])
  })

  it('brings a model in one file', async () => {
    await pull({ revision: 'single' })
    expect((await describeModel(folder())).id).to.equal((await describeModel(SINGLE)).id)
  })

  it('brings an adapter', async () => {
    const adapter = join(FIXTURES, 'gpt2-long', 'adapter')
    hub.models[MODEL] = modelOf(await filesOf(adapter))
    await pull()
    expect(await readAdapter(folder())).to.deep.equal(await readAdapter(adapter))
  })

  it('asks for nothing that is there', async () => {
    const { bytes } = await pull()
    const before = hub.contents.length
    const progress: Array<[string, number, number]> = []
    expect(await pull({ onProgress: (...state) => progress.push(state) })).to.include({ bytes, downloaded: 0 })
    expect(hub.contents).to.have.lengthOf(before)
    expect(progress.at(-1)).to.deep.equal(['checking', bytes, bytes])
  })

  it('mends what was changed or lost, and nothing else', async () => {
    await pull()
    const shard = 'model-00002-of-00005.safetensors'
    await writeFile(join(folder(), shard), Buffer.alloc(sharded[shard].byteLength))
    expect((await pull()).downloaded).to.equal(sharded[shard].byteLength)
    expect(await readFile(join(folder(), shard))).to.deep.equal(sharded[shard])
  })

  it('goes on where it was cut off', async () => {
    let fails = 0
    hub.fault = name => {
      if (name !== 'model-00003-of-00005.safetensors') return undefined
      return fails++ === 0 ? { endAfter: 7000 } : { status: 500 }
    }
    expect((await failureOf(pull())).name).to.equal('DownloadError')
    hub.fault = () => undefined
    const { bytes } = await pull()
    const sent = hub.contents.reduce((sum, { sent }) => sum + sent, 0)
    expect(hub.contents.find(({ range }) => range === 'bytes=7000-')).to.not.equal(undefined)
    expect(sent).to.equal(bytes)
    expect((await describeModel(folder())).id).to.equal((await describeModel(SHARDED)).id)
  })

  it('takes all files of the commit that the revision was at first', async () => {
    hub.fault = () => {
      hub.models[MODEL].revisions.main = SECOND_COMMIT
      return undefined
    }
    await pull()
    expect((await describeModel(folder())).id).to.equal((await describeModel(SHARDED)).id)
  })

  it('replaces the files of another revision', async () => {
    await pull()
    hub.models[MODEL] = modelOf({ ...sharded, 'config.json': Buffer.from(JSON.stringify({ ...JSON.parse(String(sharded['config.json'])) as object, extra: 1 })) })
    await pull()
    expect(JSON.parse(await readFile(join(folder(), 'config.json'), 'utf8'))).to.have.property('extra', 1)
  })

  it('does not put weights beside others that would be loaded in their place', async () => {
    await pull()
    const error = await failureOf(pull({ revision: 'single' }))
    expect(error.name).to.equal('InvalidOptionError')
    expect(error.message).to.include('model.safetensors.index.json')
    expect((await describeModel(folder())).id).to.equal((await describeModel(SHARDED)).id)
  })

  it('stops the other files where one cannot be had', async () => {
    hub.fault = name => name === 'config.json' ? { altered: true } : name.startsWith('model-') ? { stallAfter: 10 } : undefined
    const error = await failureOf(pull())
    expect(error.message).to.include('config.json')
    const before = hub.requests.length
    await new Promise(resolve => setImmediate(resolve))
    expect(hub.requests).to.have.lengthOf(before)
  })

  it('refuses a model whose index names a shard elsewhere', async () => {
    const index = Buffer.from(JSON.stringify({ weight_map: { x: '../../evil.safetensors' } }))
    hub.models[MODEL] = modelOf({ ...sharded, 'model.safetensors.index.json': index })
    expect((await failureOf(pull())).message).to.include('../../evil.safetensors')
  })
})

describe('makeFolder', () => {
  const folder = temporaryFolder()

  it('makes a folder, and refuses what cannot be one', async () => {
    await makeFolder(join(folder(), 'a', 'b'))
    await writeFile(join(folder(), 'a', 'b', 'file'), '')
    await mkdir(join(folder(), 'c'))
    await makeFolder(join(folder(), 'c'))
    const error = await failureOf(makeFolder(join(folder(), 'a', 'b', 'file', 'c')))
    expect(error.name).to.equal('InvalidOptionError')
    expect(error.message).to.include('ENOTDIR')
  })
})
