import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect } from 'chai'
import { lockFolder } from '../../src/node/folder-lock.js'
import { soon } from '../protocols/nodes.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

const HOLDER = join(import.meta.dirname, 'hold-folder.ts')

describe('the lock of a folder', () => {
  const releases: Array<() => Promise<void>> = []
  const holders: ChildProcess[] = []

  afterEach(async () => {
    for (const release of releases.splice(0)) await release()
    const left = holders.splice(0)
    for (const holder of left) await kill(holder)
    if (left.length > 0) await (await lockFolder(folder()))() // takes away what the killed leave
  })
  const folder = temporaryFolder()

  /** Takes it for this process. */
  async function lock (path = folder()): Promise<() => Promise<void>> {
    const release = await lockFolder(path)
    let released = false
    const once = async (): Promise<void> => {
      if (!released) await release()
      released = true
    }
    releases.push(once)
    return once
  }

  /** A process that has taken it. */
  async function holder (): Promise<ChildProcess> {
    const child = spawn(process.execPath, ['--import', 'tsx', HOLDER, folder()], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    holders.push(child)
    await Promise.race([once(child, 'message', { signal: soon() }), once(child, 'exit').then(() => { throw new Error('it did not get the folder') })])
    return child
  }

  async function kill (child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit', { signal: soon() })
    child.kill('SIGKILL')
    await ended
  }

  async function expectInUse (path = folder()): Promise<void> {
    expect((await failureOf(lock(path))).name).to.equal('FolderInUseError')
  }

  it('makes the folder, and those above it, if it is not there', async () => {
    const path = join(folder(), 'a', 'b')
    await lock(path)
    expect((await stat(path)).isDirectory()).to.equal(true)
  })

  it('leaves nothing in the folder, and what is there as it is', async () => {
    await writeFile(join(folder(), 'identity.key'), 'mine')
    await (await lock())()
    expect(await readdir(folder())).to.deep.equal(['identity.key'])
  })

  it('is refused to a second process, until the first gives it free', async () => {
    const first = await holder()
    await expectInUse()
    await expectInUse()
    const released = once(first, 'message', { signal: soon() })
    first.send('release')
    await released
    await lock()
  })

  it('is refused twice in one process too', async () => {
    const release = await lock()
    await expectInUse()
    await release()
    await lock()
    await expectInUse()
  })

  it('is taken over from a process that was killed', async () => {
    await kill(await holder())
    const release = await lock()
    await expectInUse()
    await release()
    await lock()
  })

  it('is held by a process that has taken it over from one that was killed', async () => {
    await kill(await holder())
    await kill(await holder())
    await holder()
    await expectInUse()
  })

  it('is of the folder, whatever path leads there', async () => {
    const real = join(folder(), 'real')
    await mkdir(real)
    await symlink(real, join(folder(), 'link'))
    const release = await lock(real)
    for (const path of [join(folder(), 'link'), join(real, '..', 'real'), `${real}/`, relative(process.cwd(), real)]) await expectInUse(path)
    await release()
    await lock(join(folder(), 'link'))
    await expectInUse(real)
  })

  it('is of one folder alone', async () => {
    for (const path of [folder(), join(folder(), 'a'), join(folder(), 'a', 'b'), join(folder(), 'c')]) await lock(path)
  })

  it('is possible for a folder with a long name', async () => {
    const path = join(folder(), 'x'.repeat(200), 'y'.repeat(200))
    await lock(path)
    await expectInUse(path)
  })

  it('is not possible where there is a file', async () => {
    const path = join(folder(), 'file')
    await writeFile(path, '')
    expect(await failureOf(lock(path))).to.have.property('code', 'EEXIST')
  })

  it('is taken over by one of several that come at the same time', async () => {
    await kill(await holder())
    const outcomes = await Promise.allSettled(Array.from({ length: 4 }, async () => await lock()))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.length(1)
  })
})
