import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Checked } from '../../src/node/doctor/check.js'
import { ColaNode } from '../../src/node/node.js'
import { checkup, type Checkups } from '../../src/protocols/checkup/index.js'
import { runCli } from '../cli/run-cli.js'
import { freePort, LOOPBACK } from '../protocols/nodes.js'
import { OFFER } from '../protocols/offer.js'
import { temporaryFolder } from '../support/temporary-folder.js'

/** In milliseconds. */
const HOUR = 3_600_000

/** Has nothing be found under the name of ONNX Runtime's package, as where it is not installed. */
const NO_ENGINE = `
  const { Module } = require('node:module')
  const resolve = Module._resolveFilename
  Module._resolveFilename = (name, ...rest) => {
    if (name === 'onnxruntime-node') throw Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' })
    return resolve(name, ...rest)
  }`

/** What doctor finds, each in a set-up that is broken so. */
describe('colanet doctor names the fault of', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  let peer: ColaNode

  beforeEach(async () => {
    peer = await ColaNode.start({ folder: join(folder(), 'peer'), listen: LOOPBACK, localFolder: false })
    peer.adverts.offer(() => OFFER)
  })
  afterEach(async () => { await peer.stop() })

  interface SetUp {
    readonly bootstrap?: string
    readonly model?: string
    readonly own?: string
    readonly env?: NodeJS.ProcessEnv
  }

  /** What is wrong, and with what detail and advice. */
  async function faultsOf ({ bootstrap = addressOf(peer), model = 'lent', own = join(folder(), 'own'), env = {} }: SetUp): Promise<Checked[]> {
    const known = bootstrap === '' ? [] : ['--bootstrap', bootstrap]
    const { code, stdout } = await runCli([
      'doctor', '--folder', own, '--model', model, ...known, '--listen', LOOPBACK[0], '--no-mdns', '--local-discovery', 'none', '--threads', '1', '--timeout', '10', '--free-disk', '1', '--json'
    ], env)
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean, checks: Checked[] }
    expect({ code, ok }).to.deep.equal({ code: 1, ok: false })
    return checks.filter(({ state }) => state === 'failed')
  }

  const namesOf = (faults: readonly Checked[]): string[] => faults.map(({ name }) => name)

  it('a wrong port', async () => {
    const faults = await faultsOf({ bootstrap: addressOf(peer).replace(/tcp\/\d+/, `tcp/${await freePort()}`) })
    expect(namesOf(faults)).to.deep.equal(['bootstrap', 'host'])
    expect(faults[0].detail).to.match(/ECONNREFUSED/)
    expect(faults[0].advice).to.match(/compare the port/)
    expect(faults[1].detail).to.match(/no peer, and so no host/)
  })

  it('no bootstrap', async () => {
    const faults = await faultsOf({ bootstrap: '' })
    expect(namesOf(faults)).to.deep.equal(['bootstrap', 'host'])
    expect(faults[0].advice).to.match(/give it with --bootstrap/)
  })

  it('a full disk', async function () {
    const small = join(folder(), 'small')
    await mkdir(small)
    const { status, stderr } = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small])
    if (status !== 0) {
      console.warn(`NOT TESTED: a full disk, as none can be mounted here: ${String(stderr)}`) // eslint-disable-line no-console
      this.skip()
    }
    try {
      await writeFile(join(small, 'much'), Buffer.alloc(65_536)).catch(() => undefined) // as much as there is room for
      const faults = await faultsOf({ own: join(small, 'node') })
      expect(namesOf(faults)).to.deep.equal(['disk'])
      expect(faults[0].detail).to.match(/^0 MB free/)
      expect(faults[0].advice).to.match(/make room/)
    } finally {
      spawnSync('/bin/umount', [small])
    }
  })

  for (const [offset, word] of [[HOUR, 'behind'], [-HOUR, 'ahead of']] as const) {
    it(`a clock that is an hour ${word} its peer's`, async () => {
      await peer.checkups.stop()
      const checkups: Checkups = checkup({ now: () => Date.now() + offset })(peer.mesh)
      await checkups.start()
      const faults = await faultsOf({})
      expect(namesOf(faults)).to.deep.equal(['clock'])
      expect(faults[0].detail).to.match(new RegExp(`^(3600|3599)\\.\\d s ${word}`))
      expect(faults[0].advice).to.match(/set the clock/)
    })
  }

  it('no host for the model', async () => {
    const faults = await faultsOf({ model: 'd'.repeat(64) })
    expect(namesOf(faults)).to.deep.equal(['host'])
    expect(faults[0].detail).to.match(/on offer: lent \(cccccccc\)/)
    expect(faults[0].advice).to.match(/colanet host --model/)
  })

  it('no engine', async () => {
    const hidden = join(folder(), 'hidden.cjs')
    await writeFile(hidden, NO_ENGINE)
    const faults = await faultsOf({ env: { NODE_OPTIONS: `--require ${hidden}` } })
    expect(namesOf(faults)).to.deep.equal(['engine'])
    expect(faults[0].advice).to.match(/npm install onnxruntime-node/)
  })
})

function addressOf ({ mesh }: ColaNode): string {
  return mesh.getMultiaddrs()[0].toString()
}
