import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import type { Checked } from '../../../src/node/doctor/check.js'
import { diagnose, type DiagnosisOptions } from '../../../src/node/doctor/diagnose.js'
import { IDENTITY_FILE, loadIdentity } from '../../../src/node/identity.js'
import { createMesh } from '../../../src/node/mesh.js'
import { ColaNode } from '../../../src/node/node.js'
import { freePort, LOOPBACK, soon } from '../../protocols/nodes.js'
import { OFFER } from '../../protocols/offer.js'
import { temporaryFolder } from '../../support/temporary-folder.js'

/** An hour, in milliseconds. */
const HOUR = 3_600_000

/** What a check may take where it is to find nothing, in milliseconds. */
const BRIEF = 2_000

const { model: MODEL } = OFFER

describe('a diagnosis', () => {
  const folder = temporaryFolder()
  let peer: ColaNode
  let bootstrap: string[]

  beforeEach(async () => {
    peer = await ColaNode.start({ folder: join(folder(), 'peer'), listen: LOOPBACK, localFolder: false })
    peer.adverts.offer(() => OFFER)
    bootstrap = peer.mesh.getMultiaddrs().map(String)
  })
  afterEach(async () => { await peer.stop() })

  async function look (options: Partial<DiagnosisOptions> = {}): Promise<Checked[]> {
    const { network, ...others } = options
    return await diagnose({
      folder: join(folder(), 'own'),
      network: { listen: LOOPBACK, bootstrap, localFolder: false, ...network },
      model: 'lent',
      engine: { device: 'cpu', threads: 1 },
      ...others
    }, { signal: soon() })
  }

  const faults = (checks: readonly Checked[]): string[] => checks.filter(({ state }) => state === 'failed').map(({ name }) => name)
  const of = (checks: readonly Checked[], name: string): Checked => checks.find(check => check.name === name)!

  it('finds all well where it is', async () => {
    const checks = await look()
    expect(checks.map(({ name, state, detail }) => `${name} ${state === 'ok' ? state : detail}`)).to.deep.equal(
      ['identity', 'folder', 'disk', 'engine', 'listen', 'network', 'bootstrap', 'reachable', 'dht', 'host', 'clock', 'versions'].map(name => `${name} ok`)
    )
    for (const { advice } of checks) expect(advice).to.equal(null)
  })

  it('says which model is lent, and what peers run', async () => {
    const checks = await look({ model: MODEL })
    expect(of(checks, 'host').detail).to.include('lent (cccccccc)')
    expect(of(checks, 'versions').detail).to.match(/peers: colanet\/\d+\.\d+\.\d+ node\//)
  })

  describe('names what is wrong, and what to do:', () => {
    function expectFault (checks: readonly Checked[], name: string, detail: RegExp, advice: RegExp): void {
      const { detail: found, advice: told } = of(checks, name)
      expect(faults(checks)).to.deep.equal([name])
      expect(found).to.match(detail)
      expect(told).to.match(advice)
    }

    it('a port that is taken', async () => {
      const taken = await listening()
      try {
        const { port } = taken.address() as AddressInfo
        expectFault(await look({ network: { listen: [...LOOPBACK, `/ip4/127.0.0.1/tcp/${port}`], bootstrap } }), 'listen', /EADDRINUSE/, /another port with --listen/)
      } finally {
        taken.close()
      }
    })

    it('an address that is not of this machine, or none at all', async () => {
      expectFault(await look({ network: { listen: ['/ip4/203.0.113.1/tcp/4001'], bootstrap } }), 'listen', /EADDRNOTAVAIL/, /no such address/)
      expectFault(await look({ network: { listen: ['0.0.0.0:4001'], bootstrap } }), 'listen', /not a multiaddr/, /\/ip4\/0\.0\.0\.0\/tcp\/4001/)
    })

    it('a bootstrap peer at another port', async () => {
      const wrong = [bootstrap[0].replace(/tcp\/\d+/, `tcp/${await freePort()}`)]
      const checks = await look({ network: { bootstrap: [...wrong, ...bootstrap] } })
      expectFault(checks, 'bootstrap', /1 of 2 do not answer: .*ECONNREFUSED/, /compare the port/)
    })

    it('a bootstrap peer that is another one now', async () => {
      const other = await createMesh({ identity: await generateKeyPair('Ed25519'), localFolder: false, listen: LOOPBACK })
      const address = bootstrap[0].replace(/p2p\/.*/, `p2p/${other.peerId.toString()}`)
      await other.stop()
      const checks = await look({ network: { bootstrap: [address] }, timeout: BRIEF })
      expect(of(checks, 'bootstrap').state).to.equal('failed')
      expect(of(checks, 'bootstrap').advice).to.match(/another peer answers there/)
    })

    it('no bootstrap peer, and nobody else', async () => {
      const checks = await look({ network: { bootstrap: [] }, timeout: BRIEF })
      expect(faults(checks)).to.deep.equal(['bootstrap', 'host'])
      expect(of(checks, 'bootstrap').advice).to.match(/with --bootstrap/)
      expect(of(checks, 'dht').state).to.equal('skipped')
    })

    it('a disk without room', async () => {
      expectFault(await look({ freeDisk: 1e18 }), 'disk', /MB free at .* want 1000000000000 MB/, /make room/)
    })

    it('a disk that is full, as it is', async function () {
      const small = join(folder(), 'small')
      await mkdir(small)
      const { status } = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small])
      if (status !== 0) this.skip() // this user may not mount: the check before is of the same code
      try {
        await writeFile(join(small, 'much'), Buffer.alloc(65_536)).catch(() => undefined)
        const checks = await look({ folder: join(small, 'node') })
        expect(faults(checks)).to.deep.equal(['disk'])
        expect(of(checks, 'disk').detail).to.match(/^0 MB free/)
      } finally {
        spawnSync('/bin/umount', [small])
      }
    })

    for (const [how, now, word] of [['ahead', () => Date.now() + HOUR, 'ahead of'], ['behind', () => Date.now() - HOUR, 'behind']] as const) {
      it(`a clock that is an hour ${how}`, async () => {
        expectFault(await look({ now }), 'clock', new RegExp(`^3(600|599)\\.\\d s ${word}`), /set the clock/)
      })
    }

    it('no host for the model', async () => {
      expectFault(await look({ model: 'd'.repeat(64), timeout: BRIEF }), 'host', /on offer: lent \(cccccccc\)/, /colanet host --model/)
    })

    it('no engine', async () => {
      expectFault(await look({ engine: { device: 'cuda' } }), 'engine', /CUDA|cuda/, /--device|npm install/)
    })

    it('an identity that others may read, and one that is damaged', async () => {
      const own = join(folder(), 'own')
      await loadIdentity(own).catch(() => undefined)
      await chmod(join(own, IDENTITY_FILE), 0o644)
      expectFault(await look(), 'identity', /mode 644/, /chmod 600/)
      await writeFile(join(own, IDENTITY_FILE), 'no key')
      expectFault(await look(), 'identity', /InvalidIdentityError/, /can be read/)
    })

    it('a folder that is a file', async () => {
      await writeFile(join(folder(), 'own'), '')
      expectFault(await look(), 'folder', /is a file/, /--folder/)
    })
  })

  it('ends in time where a bootstrap peer accepts connections and says nothing', async () => {
    const silent = await listening()
    try {
      const { port } = silent.address() as AddressInfo
      const checks = await look({ network: { bootstrap: [`/ip4/127.0.0.1/tcp/${port}`] }, timeout: BRIEF })
      expect(faults(checks)).to.deep.equal(['bootstrap', 'host'])
      for (const { milliseconds } of checks) expect(milliseconds).to.be.below(2 * BRIEF)
    } finally {
      silent.close()
    }
  })
})

async function listening (): Promise<Server> {
  const server = createServer(socket => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
