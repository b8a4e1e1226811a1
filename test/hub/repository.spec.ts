import { expect } from 'chai'
import { checkRepositoryName, openRepository } from '../../src/hub/repository.js'
import { failureOf } from '../support/failure.js'
import { FIRST_COMMIT, HubServer, modelOf, SECOND_COMMIT } from './hub-server.js'
import { connect, MODEL } from './pulling.js'

const FILES = Object.fromEntries(['config.json', 'tokenizer.json', 'README.md', 'model.safetensors', 'onnx/model.onnx'].map(name => [name, Buffer.from(name)]))

describe('checkRepositoryName', () => {
  it('takes the names that the Hub has', () => {
    for (const name of ['gpt2', 'openai-community/gpt2', 'Qwen/Qwen2.5-0.5B', '01-ai/Yi_6B', 'a/b']) {
      for (const revision of ['main', 'v1.0', 'refs/pr/1', FIRST_COMMIT]) expect(() => checkRepositoryName({ name, revision })).to.not.throw()
    }
  })

  it('refuses all others', () => {
    for (const name of ['', '.', '..', '../x', 'a/..', 'a/b/c', '/a', 'a/', 'https://huggingface.co/a/b', 'a b', 'a/b?c', 'a/b#c', 'a%2fb', 'a\\b', 'a/b.git', 'a--b', '-a/b', 'a/b\n', 'ä/b', 'a/' + 'b'.repeat(97)]) {
      expect(() => checkRepositoryName({ name, revision: 'main' }), name).to.throw().with.property('name', 'InvalidOptionError')
    }
    for (const revision of ['', '.', '..', '../../x', 'a b', 'a?b', 'a\n', '-x', 'a\\b', 'a*']) {
      expect(() => checkRepositoryName({ name: 'a/b', revision }), revision).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})

describe('openRepository', () => {
  let hub: HubServer
  beforeEach(async () => {
    hub = await HubServer.start({
      [MODEL]: { commits: { [FIRST_COMMIT]: FILES, [SECOND_COMMIT]: {} }, revisions: { main: FIRST_COMMIT, 'refs/pr/1': SECOND_COMMIT } },
      'acme/private': { ...modelOf(FILES), privateTo: ['hf_reader'] }
    })
  })
  afterEach(async () => await hub.stop())

  it('lists the files of the first level, page by page, with sizes and checksums', async () => {
    const { commit, files } = await openRepository(connect(hub))
    expect(commit).to.equal(FIRST_COMMIT)
    expect(files.map(({ name }) => name)).to.deep.equal(['config.json', 'tokenizer.json', 'README.md', 'model.safetensors'])
    expect(files.map(({ size }) => size)).to.deep.equal(files.map(({ name }) => name.length))
    expect(files.map(({ checksum }) => checksum.kind)).to.deep.equal(['git', 'git', 'git', 'sha256'])
    expect(hub.requests.filter(({ path }) => path.includes('/tree/'))).to.have.lengthOf(2)
    for (const { path } of hub.requests.slice(1)) expect(path).to.include(FIRST_COMMIT)
  })

  it('takes branches, pull requests and commits', async () => {
    for (const [revision, commit] of [['main', FIRST_COMMIT], ['refs/pr/1', SECOND_COMMIT], [SECOND_COMMIT, SECOND_COMMIT]]) {
      expect((await openRepository(connect(hub, { revision }))).commit).to.equal(commit)
    }
  })

  it('sends a token that does not begin with hf_ too, and shows it nowhere', async () => {
    const error = await failureOf(openRepository(connect(hub, { token: 'secret' })))
    expect(hub.requests[0].authorization).to.equal('Bearer secret')
    expect(error.name).to.equal('DownloadError')
    expect(error.message).to.include('does not accept the token of HF_TOKEN').and.not.include('secret')
  })

  it('sends the token to no other host, even where a list goes on there', async () => {
    const other = await HubServer.start({ [MODEL]: modelOf(FILES) })
    const list = JSON.stringify([{ type: 'file', path: 'a', size: 1, oid: '0'.repeat(40) }])
    hub.answer = path => path.includes('/tree/') ? { headers: { Link: `<${other.url}/api/models/${MODEL}/tree/main>; rel="next"` }, body: list } : undefined
    await openRepository(connect(hub, { token: 'hf_reader' }))
    expect(hub.requests.map(({ authorization }) => authorization)).to.deep.equal(['Bearer hf_reader', 'Bearer hf_reader'])
    expect(other.requests[0].authorization).to.equal(undefined)
    await other.stop()
  })

  it('says whether the repository, the revision or the permission is missing', async () => {
    for (const [what, said] of [
      [{ name: 'acme/none' }, 'there is no model acme/none'],
      [{ name: 'acme/none', token: 'hf_reader' }, 'there is no model acme/none'],
      [{ name: 'acme/private' }, 'set HF_TOKEN'],
      [{ name: 'acme/private', token: 'hf_stranger' }, 'the token of HF_TOKEN may not read it'],
      [{ revision: 'none' }, 'no revision none']
    ] as const) {
      const error = await failureOf(openRepository(connect(hub, what)))
      expect(error.name).to.equal('InvalidOptionError')
      expect(error.message).to.include(said)
    }
    expect((await openRepository(connect(hub, { name: 'acme/private', token: 'hf_reader' }))).files).to.have.lengthOf(4)
  })

  it('refuses files that would leave the folder', async () => {
    for (const path of ['../../evil', '../evil.safetensors', '/etc/evil', 'a/../../evil', '..', 'C:\\evil', 'c:evil', 'a\\..\\evil', '\\\\host\\evil', 'evil\n', '']) {
      hub.models['acme/evil'] = modelOf({ ...FILES, [path]: Buffer.from('x') })
      const error = await failureOf(openRepository(connect(hub, { name: 'acme/evil' })))
      expect(error.name, path).to.equal('InvalidModelError')
      expect(error.message).to.include(JSON.stringify(path))
    }
  })

  it('refuses answers that are not a hub\'s', async () => {
    const answers: Record<string, string> = {
      revision: '{"sha": "main"}', tree: '[{"type": "file", "path": "a", "size": -1, "oid": "0"}]'
    }
    for (const [what, body] of [...Object.entries(answers), ['revision', '<html>'], ['revision', 'null'], ['tree', '{}'], ['tree', '[null]']]) {
      hub.answer = path => path.includes(`/${what}/`) ? { body } : undefined
      const error = await failureOf(openRepository(connect(hub)))
      expect(error.name, body).to.equal('DownloadError')
      expect(error.message).to.include('HF_ENDPOINT')
    }
  })

  it('asks again where the hub is busy or cuts the line, and not for ever', async () => {
    let failures = 2
    hub.answer = () => failures-- > 0 ? { status: failures === 1 ? 503 : 429 } : undefined
    expect((await openRepository(connect(hub))).commit).to.equal(FIRST_COMMIT)
    hub.answer = () => ({ status: 500 })
    expect((await failureOf(openRepository(connect(hub)))).name).to.equal('DownloadError')
    hub.answer = () => 'cut'
    expect((await failureOf(openRepository(connect(hub)))).name).to.equal('DownloadError')
    hub.answer = () => 'stall'
    const error = await failureOf(openRepository(connect(hub)))
    expect(error.name).to.equal('DownloadError')
    expect(error.message).to.include('says nothing for 0.3 s')
  })

  it('says which host cannot be reached', async () => {
    const { url } = hub
    await hub.stop()
    const error = await failureOf(openRepository(connect({ url })))
    hub = await HubServer.start({})
    expect(error.name).to.equal('DownloadError')
    expect(error.message).to.include(new URL(url).host).and.include('ECONNREFUSED')
  })

  it('ends with the signal, whose reason it throws', async () => {
    const controller = new AbortController()
    hub.answer = () => {
      controller.abort(new RangeError('enough'))
      return 'stall'
    }
    expect((await failureOf(openRepository(connect(hub, { signal: controller.signal })))).name).to.equal('RangeError')
  })
})
