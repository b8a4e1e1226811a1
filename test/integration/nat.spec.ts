import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Started, startCli } from '../cli/run-cli.js'
import { missing, Namespaces, type Place, PUBLIC_ADDRESS } from './namespaces.js'
import { failureOf, reportOf, saidBy } from './scene.js'

const MODEL = join(import.meta.dirname, '..', '..', 'models', 'tiny')
const DATA = join(import.meta.dirname, '..', '..', 'README.md')

/** KiB that a relay passes on: enough to agree on a direct connection, and less than a step takes. */
const RELAYED = 32

describe('a host and a trainer behind routers that translate addresses', function () {
  this.timeout(180_000)
  const lacking = missing()
  const running = new Set<Started>()
  let folder: string
  let spaces: Namespaces | undefined

  before(function () {
    if (lacking === undefined) return
    console.warn(`NOT TESTED: nodes behind address translation, as ${lacking}`) // eslint-disable-line no-console
    this.skip()
  })
  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'colanet-nat-')) })
  afterEach(async () => {
    await Promise.all([...running].map(async ({ process, ended }) => {
      process.kill('SIGKILL')
      await ended
    }))
    running.clear()
    await spaces?.close()
    await rm(folder, { recursive: true, force: true })
  })

  function start (place: Place, command: string, ...args: string[]): Started {
    const node = ['--folder', join(folder, command), '--no-mdns', '--local-discovery', 'none', '--json']
    const started = startCli([command, ...args, ...node], { within: spaces!.within(place) })
    running.add(started)
    return started
  }

  /** @returns the address of a relay in the internet */
  async function relay (): Promise<string> {
    const said = await saidBy(start('internet', 'relay', '--max-data', String(RELAYED)), new RegExp(`--bootstrap /ip4/${PUBLIC_ADDRESS}/tcp/4001/p2p/\\w+`))
    return said.split(' ')[1]
  }

  function host (place: Place, bootstrap: string): Started {
    return start(place, 'host', '--model', MODEL, '--threads', '1', '--bootstrap', bootstrap)
  }

  function train (place: Place, bootstrap: string, ...args: string[]): Started {
    return start(place, 'train', '--model', MODEL, '--data', DATA, '--steps', '2', '--batch-size', '2', '--held-out-rows', '2', '--bootstrap', bootstrap, ...args)
  }

  for (const place of ['right', 'internet'] as const) {
    it(`meet at a relay, connect directly and train: the trainer is ${place === 'right' ? 'behind a router too' : 'in the internet'}`, async () => {
      spaces = await Namespaces.open('kept')
      const address = await relay()
      await saidBy(host('left', address), /reached through a relay at/)
      const { steps, losses, bytes } = await reportOf(train(place, address))
      expect(steps).to.equal(2)
      for (const loss of losses) expect(loss).to.be.finite
      expect(bytes.adaptation.received).to.be.above(RELAYED * 1024)
    })
  }

  it('are told what to open where a router shows each peer another port', async () => {
    spaces = await Namespaces.open('random')
    const address = await relay()
    const lender = host('left', address)
    const [listening] = await Promise.all([saidBy(lender, /\/ip4\/10\.1\.0\.2\/tcp\/\d+/), saidBy(lender, /reached through a relay at/)])
    const { code, name, stderr } = await failureOf(train('right', address, '--patience', '40'))
    expect({ code, name }, stderr).to.deep.equal({ code: 3, name: 'RelayedOnlyError' })
    expect(stderr).to.include(`TCP port ${listening.split('/').at(-1)!} of that peer's machine`)
  })
})
