import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Checked } from '../../src/node/doctor/check.js'
import { ColaNode } from '../../src/node/node.js'
import { LOOPBACK } from '../protocols/nodes.js'
import { OFFER } from '../protocols/offer.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { runCli } from './run-cli.js'

describe('colanet doctor', () => {
  const folder = temporaryFolder()
  let peer: ColaNode

  beforeEach(async () => {
    peer = await ColaNode.start({ folder: join(folder(), 'peer'), listen: LOOPBACK, localFolder: false })
    peer.adverts.offer(() => OFFER)
  })
  afterEach(async () => { await peer.stop() })

  const call = (): string[] => [
    'doctor', '--folder', join(folder(), 'own'), '--listen', LOOPBACK[0], '--no-mdns', '--local-discovery', 'none', '--bootstrap', peer.mesh.getMultiaddrs()[0].toString(), '--threads', '1'
  ]

  it('exits with 0 where all is well', async () => {
    const { code, stdout } = await runCli([...call(), '--model', 'lent', '--json'])
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean, checks: Checked[] }
    expect(checks.filter(({ state }) => state !== 'ok')).to.deep.equal([])
    expect({ ok, code }).to.deep.equal({ ok: true, code: 0 })
  })

  it('exits with 1, and says on standard output what to do, where ONNX Runtime is not installed and nobody lends the model', async () => {
    const hidden = join(folder(), 'hidden.cjs')
    await writeFile(hidden, `
      const { Module } = require('node:module')
      const resolve = Module._resolveFilename
      Module._resolveFilename = (name, ...rest) => {
        if (name === 'onnxruntime-node') throw Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' })
        return resolve(name, ...rest)
      }`)
    const { code, stdout, stderr } = await runCli([...call(), '--model', 'other', '--timeout', '3'], { NODE_OPTIONS: `--require ${hidden}` })
    expect(code).to.equal(1)
    expect(stdout).to.match(/^FAILED {2}engine .*\n +→ install ONNX Runtime: npm install onnxruntime-node/m)
    expect(stdout).to.match(/^FAILED {2}host .*lent \(cccccccc\)/m)
    expect(stdout.match(/^FAILED/mg)).to.have.length(2)
    expect(stderr).to.match(/FaultsFoundError: engine, host/)
  })
})
