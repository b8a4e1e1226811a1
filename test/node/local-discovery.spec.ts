import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { createMesh, type Mesh } from '../../src/node/mesh.js'
import { LOOPBACK, soon } from '../protocols/nodes.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

const NOBODY = 65_534

describe('nodes on one machine', () => {
  const running: Mesh[] = []
  afterEach(async () => { await Promise.all(running.splice(0).map(async node => { await node.stop() })) }) // before their folder is removed
  const temporary = temporaryFolder()
  const folder = (): string => join(temporary(), 'local')

  async function start (localFolder = folder()): Promise<Mesh> {
    const node = await createMesh({ identity: await generateKeyPair('Ed25519'), listen: LOOPBACK, localFolder })
    running.push(node)
    return node
  }

  const fileOf = (node: Mesh): string => join(folder(), `${node.peerId.toString()}.json`)
  const isThere = async (path: string): Promise<boolean> => await stat(path).then(() => true, () => false)
  const areConnected = (a: Mesh, b: Mesh): boolean => [[a, b], [b, a]].every(([from, to]) => from.getConnections(to.peerId).length > 0)

  /** Waits for what goes on in the background. */
  async function until (condition: () => boolean | Promise<boolean>): Promise<void> {
    const signal = soon()
    while (!await condition()) {
      signal.throwIfAborted()
      await turn()
    }
  }

  /** What a node tells of itself, once it listens and tells it. */
  async function written (node: Mesh): Promise<{ addresses: string[] }> {
    let entry = { addresses: [] as string[] }
    await until(async () => {
      entry = JSON.parse(await readFile(fileOf(node), 'utf8').catch(() => '{"addresses":[]}')) as typeof entry
      return entry.addresses.length > 0
    })
    return entry
  }

  /** The id of a peer that does not run. */
  async function somePeer (): Promise<string> {
    return peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
  }

  async function leave (name: string, content: unknown): Promise<string> {
    const path = join(folder(), name)
    await mkdir(folder(), { recursive: true })
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
    return path
  }

  it('find each other through a folder', async () => {
    const all = [await start(), await start(), await start()]
    await until(() => all.every((a, i) => all.slice(i + 1).every(b => areConnected(a, b))))
  })

  it('find nobody through another folder, nor through none', async () => {
    const [a, b] = [await start(), await start()]
    const others = [await start(join(temporary(), 'other')), await createMesh({ identity: await generateKeyPair('Ed25519'), listen: LOOPBACK, localFolder: false })]
    running.push(others[1])
    await until(() => areConnected(a, b))
    for (const node of others) expect(node.getPeers()).to.deep.equal([])
    expect(await readdir(folder())).to.have.length(2)
  })

  it('write their addresses where nobody else can read or write', async () => {
    const node = await start()
    expect(await written(node)).to.deep.equal({ pid: process.pid, addresses: node.getMultiaddrs().map(String) })
    expect((await stat(fileOf(node))).mode & 0o777).to.equal(0o600)
    expect((await stat(folder())).mode & 0o777).to.equal(0o700)
  })

  it('close a folder of their own that was open to others', async () => {
    await mkdir(folder())
    await chmod(folder(), 0o777)
    await start()
    expect((await stat(folder())).mode & 0o777).to.equal(0o700)
  })

  it('take away what they have written when they stop, and nothing else', async () => {
    const [a, b] = [await start(), await start()]
    const remark = await leave('README.txt', 'not ours')
    await until(() => areConnected(a, b))
    await Promise.all([a, b].map(written))
    await a.stop()
    expect(await isThere(fileOf(a))).to.equal(false)
    expect(await isThere(fileOf(b))).to.equal(true)
    expect(await isThere(remark)).to.equal(true)
  })

  it('write theirs again when somebody has tidied up', async () => {
    const node = await start()
    const before = await written(node)
    await rm(fileOf(node))
    expect(await written(node)).to.deep.equal(before)
  })

  it('take away what a process has left that was killed, and keep what a live one has written', async () => {
    const killed = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)'])
    await once(killed, 'spawn')
    const ended = once(killed, 'exit')
    killed.kill('SIGKILL')
    await ended
    const left = await leave(`${await somePeer()}.json`, { pid: killed.pid, addresses: ['/ip4/127.0.0.1/tcp/1'] })
    const alive = await leave(`${await somePeer()}.json`, { pid: process.pid, addresses: ['/ip4/127.0.0.1/tcp/1'] })
    await start()
    await until(async () => !await isThere(left))
    expect(await isThere(alive)).to.equal(true)
  })

  it('find each other beside entries that are damaged', async () => {
    const pid = process.pid
    const entries: Record<string, unknown> = {
      'surprise.json': { pid, addresses: [] },
      '.json': { pid, addresses: [] }
    }
    const contents = ['', '{', 'null', '[]', { pid }, { addresses: [] }, { pid: '1', addresses: [] }, { pid: -1, addresses: [] }, { pid: 0, addresses: [] },
      { pid, addresses: [1] }, { pid, addresses: ['surprise'] }, { pid, addresses: ['/ip4/127.0.0.1/tcp/x'] }, { pid, addresses: [], surprise: true },
      { pid, addresses: new Array(65).fill('/ip4/127.0.0.1/tcp/1') }, { pid, addresses: [`/dns4/${'x'.repeat(500)}/tcp/1`] }]
    for (const content of contents) entries[`${await somePeer()}.json`] = content
    for (const [name, content] of Object.entries(entries)) await leave(name, content)
    await mkdir(join(folder(), `${await somePeer()}.json`))
    const [a, b] = [await start(), await start()]
    await until(() => areConnected(a, b))
    expect(a.getPeers().map(String)).to.deep.equal([b.peerId.toString()])
    expect(await readdir(folder())).to.include.members(Object.keys(entries))
    expect(await a.peerStore.all()).to.have.length(1)
  })

  it('are not kept from each other by one that answers nothing', async () => {
    await leave(`${await somePeer()}.json`, { pid: process.pid, addresses: ['/ip4/127.0.0.1/tcp/1'] })
    const [a, b] = [await start(), await start()]
    await until(() => areConnected(a, b))
  })

  describe('refuse', () => {
    async function expectRefused (localFolder = folder()): Promise<void> {
      expect((await failureOf(start(localFolder))).name).to.equal('InvalidOptionError')
    }

    it('another user\'s folder', async () => {
      if (process.getuid?.() !== 0) {
        await expectRefused('/usr') // root's
        return
      }
      await mkdir(folder())
      await chown(folder(), NOBODY, NOBODY)
      await expectRefused()
      expect(await readdir(folder())).to.deep.equal([])
      expect((await stat(folder())).mode & 0o777, 'left as it was').to.not.equal(0o700)
    })

    it('a link to a folder, which may lead anywhere tomorrow', async () => {
      await mkdir(join(temporary(), 'real'))
      await symlink(join(temporary(), 'real'), folder())
      await expectRefused()
      expect(await readdir(join(temporary(), 'real'))).to.deep.equal([])
    })

    it('what is no folder', async () => {
      await writeFile(folder(), 'a file')
      await expectRefused()
      await expectRefused(join(folder(), 'below'))
      expect(await readFile(folder(), 'utf8')).to.equal('a file')
    })
  })
})
