import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { downloadFile, isWhole, partialSize } from '../../src/hub/download-file.js'
import { openRepository, type RemoteFile, type Repository } from '../../src/hub/repository.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { type Fault, FIRST_COMMIT, HubServer, SECOND_COMMIT } from './hub-server.js'
import { connect, MODEL } from './pulling.js'

const LARGE = 'model.safetensors'
const SMALL = 'tokenizer.json'
const BYTES = 300_000

/** The same at each run, and nowhere periodic. */
const content = Buffer.concat(Array.from({ length: BYTES / 32 }, (_, i) => createHash('sha256').update(String(i)).digest()))

describe('downloadFile', () => {
  const folder = temporaryFolder()
  const { signal } = new AbortController()
  let hub: HubServer
  beforeEach(async () => {
    hub = await HubServer.start({
      [MODEL]: {
        commits: { [FIRST_COMMIT]: { [LARGE]: content, [SMALL]: content, 'empty.json': Buffer.alloc(0) }, [SECOND_COMMIT]: { [LARGE]: Buffer.from('changed') } },
        revisions: { main: FIRST_COMMIT, changed: SECOND_COMMIT }
      },
      'acme/gated': { commits: { [FIRST_COMMIT]: { [LARGE]: content, [SMALL]: content } }, revisions: { main: FIRST_COMMIT }, gatedTo: ['hf_reader'] }
    })
  })
  afterEach(async () => await hub.stop())

  async function download (name: string, options: Parameters<typeof connect>[1] & { onProgress?: (there: number, received: number) => void } = {}): Promise<void> {
    const { connection, repository, file } = await find(name, options)
    await downloadFile(file, { connection, repository, folder: folder(), signal, ...options })
  }

  async function find (name: string, options?: Parameters<typeof connect>[1]): Promise<{ connection: ReturnType<typeof connect>, repository: Repository, file: RemoteFile }> {
    const connection = connect(hub, options)
    const repository = await openRepository(connection)
    return { connection, repository, file: repository.files.find(file => file.name === name)! }
  }

  /** Each content that is asked for goes wrong in its turn, then all goes well. */
  function faults (...list: Fault[]): void {
    hub.fault = () => list.shift()
  }

  async function partials (): Promise<string[]> {
    return (await readdir(folder())).filter(name => name.endsWith('.incomplete'))
  }

  for (const name of [LARGE, SMALL, 'empty.json']) {
    it(`brings ${name} whole, and knows it afterwards`, async () => {
      const { file } = await find(name)
      expect(await isWhole(file, folder(), signal)).to.equal(false)
      let there = 0
      await download(name, { onProgress: size => { there = size } })
      expect(there).to.equal(file.size)
      expect(await readFile(join(folder(), name))).to.deep.equal(hub.models[MODEL].commits[FIRST_COMMIT][name])
      expect(await readdir(folder())).to.deep.equal([name])
      expect(await isWhole(file, folder(), signal)).to.equal(true)
      await writeFile(join(folder(), name), Buffer.alloc(file.size + 1))
      expect(await isWhole(file, folder(), signal)).to.equal(false)
    })
  }

  for (const name of [LARGE, SMALL]) {
    it(`goes on with ${name} from the byte at which the line was cut`, async () => {
      faults({ stallAfter: 100_000 }, { stallAfter: 50_000 })
      let received = 0
      await download(name, {
        onProgress: (there, bytes) => {
          received += bytes
          if (there === 100_000 || there === 150_000) hub.cut()
        }
      })
      expect(hub.contents.map(({ range }) => range)).to.deep.equal([undefined, 'bytes=100000-', 'bytes=150000-'])
      expect(hub.contents.reduce((sum, { sent }) => sum + sent, 0)).to.equal(BYTES)
      expect(received).to.equal(BYTES)
      expect(await readFile(join(folder(), name))).to.deep.equal(content)
    })

    it(`goes on with what an earlier call left of ${name}`, async () => {
      faults({ endAfter: 100_000 }, { status: 500 }, { status: 500 }, { status: 500 })
      expect((await failureOf(download(name))).name).to.equal('DownloadError')
      expect(await partialSize((await find(name)).file, folder())).to.equal(100_000)
      expect(existsSync(join(folder(), name))).to.equal(false)
      await download(name)
      expect(hub.contents.at(-1)).to.include({ range: 'bytes=100000-', sent: 200_000 })
      expect(await readFile(join(folder(), name))).to.deep.equal(content)
      expect(await partials()).to.deep.equal([])
    })

    it(`throws ${name} away where its bytes are not those that are listed`, async () => {
      for (const fault of [{ altered: true }, { longer: true }] as const) {
        faults(fault)
        const error = await failureOf(download(name))
        expect(error.name).to.equal('DownloadError')
        expect(error.message).to.include(name)
        expect(await readdir(folder())).to.deep.equal([])
      }
      await download(name)
      expect(await readFile(join(folder(), name))).to.deep.equal(content)
    })
  }

  it('loses nothing but what was on its way, wherever the line is cut', async () => {
    for (let cutAfter = 1; cutAfter < BYTES; cutAfter *= 7) {
      faults({ cutAfter }, { cutAfter })
      let received = 0
      await download(LARGE, { onProgress: (_, bytes) => { received += bytes } })
      expect(received).to.equal(BYTES)
      expect(await readFile(join(folder(), LARGE))).to.deep.equal(content)
    }
  })

  it('takes a body that ends too early, or stays silent, for a line that was cut', async () => {
    for (const fault of [{ endAfter: 70_000 }, { stallAfter: 70_000 }]) {
      faults(fault)
      const lines: string[] = []
      await download(LARGE, { log: line => lines.push(line) })
      expect(hub.contents.at(-1)).to.include({ range: 'bytes=70000-', sent: BYTES - 70_000 })
      expect(lines).to.have.lengthOf(1)
      expect(await readFile(join(folder(), LARGE))).to.deep.equal(content)
    }
  })

  it('begins anew where the server gives no ranges, and not for ever', async () => {
    faults({ endAfter: 100_000 }, { wholeAlways: true })
    await download(LARGE)
    expect(await readFile(join(folder(), LARGE))).to.deep.equal(content)
    hub.fault = () => ({ wholeAlways: true, endAfter: 100_000 })
    const before = hub.contents.length
    expect((await failureOf(download(LARGE))).name).to.equal('DownloadError')
    expect(hub.contents.length - before).to.equal(3)
  })

  it('does not go on with damaged bytes', async () => {
    const { file } = await find(LARGE)
    await writeFile(join(folder(), `${LARGE}.${file.checksum.value}.incomplete`), Buffer.alloc(1000))
    expect((await failureOf(download(LARGE))).name).to.equal('DownloadError')
    expect(hub.contents.at(-1)).to.include({ range: 'bytes=1000-' })
    expect(await readdir(folder())).to.deep.equal([])
    await writeFile(join(folder(), `${LARGE}.${file.checksum.value}.incomplete`), Buffer.alloc(BYTES + 1))
    await download(LARGE)
    expect(await readFile(join(folder(), LARGE))).to.deep.equal(content)
  })

  it('does not go on with what was begun at another commit, and takes that away', async () => {
    faults({ cutAfter: 1000 }, { status: 500 }, { status: 500 }, { status: 500 })
    await failureOf(download(LARGE))
    expect(await partials()).to.have.lengthOf(1)
    await download(LARGE, { revision: 'changed' })
    expect(await readFile(join(folder(), LARGE), 'utf8')).to.equal('changed')
    expect(await partials()).to.deep.equal([])
  })

  it('gives the token to the hub and not to the host that it sends to', async () => {
    await download(LARGE, { name: 'acme/gated', token: 'hf_reader' })
    const of = (host: string): Array<string | undefined> => hub.requests.filter(seen => seen.host === host).map(({ authorization }) => authorization)
    expect(new Set(of('hub'))).to.deep.equal(new Set(['Bearer hf_reader']))
    expect(of('cdn')).to.deep.equal([undefined])
  })

  it('says where a licence is to be accepted, and whose token it is', async () => {
    for (const [token, said] of [[undefined, 'set HF_TOKEN'], ['hf_stranger', 'the token of HF_TOKEN']] as const) {
      const error = await failureOf(download(SMALL, { name: 'acme/gated', ...(token !== undefined && { token }) }))
      expect(error.name).to.equal('DownloadError')
      expect(error.message).to.include(said).and.include(`${hub.url}/acme/gated`).and.not.include('hf_')
    }
  })

  it('asks for a new address where the signed one is no longer good', async () => {
    faults({ cutAfter: 1000 }, { status: 403 })
    await download(LARGE)
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).to.have.lengthOf(3)
    expect(await readFile(join(folder(), LARGE))).to.deep.equal(content)
  })

  it('says how much room is missing', async function () {
    if (!existsSync('/dev/full')) this.skip()
    const { file } = await find(LARGE)
    await symlink('/dev/full', join(folder(), `${LARGE}.${file.checksum.value}.incomplete`))
    const error = await failureOf(download(LARGE))
    expect(error.name).to.equal('DownloadError')
    expect(error.message).to.include(`${BYTES} more bytes`).and.include('ENOSPC')
  })

  it('ends with the signal, and leaves what is there', async () => {
    faults({ stallAfter: 5000 })
    const controller = new AbortController()
    const { connection, repository, file } = await find(LARGE)
    const error = await failureOf(downloadFile(file, {
      connection,
      repository,
      folder: folder(),
      signal: controller.signal,
      onProgress: there => { if (there === 5000) controller.abort(new RangeError('enough')) }
    }))
    expect(error.name).to.equal('RangeError')
    expect(await partialSize(file, folder())).to.equal(5000)
  })
})
