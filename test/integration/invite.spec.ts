import { join } from 'node:path'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import type { Started } from '../cli/run-cli.js'
import { reportOf, saidBy, Scene } from './scene.js'

const MODEL = join(import.meta.dirname, '..', '..', 'models', 'tiny')
const DATA = join(import.meta.dirname, '..', '..', 'README.md')

describe('an invite that a trainer or a host prints', () => {
  let scene: Scene
  beforeEach(async () => { scene = await Scene.open() })
  afterEach(async () => { await scene.close() })

  it('makes a member of the same job, with its settings, of who knows nothing else', async function () {
    this.timeout(180_000)
    const host = scene.host('host', '--model', MODEL, '--threads', '1')
    await invited(host)
    const first = scene.train('first', '--model', MODEL, '--data', DATA, '--mode', 'joint', '--job', 'ours', '--members', '2', '--steps', '3', '--batch-size', '2', '--rank', '3', '--alpha', '6', '--seed', '5', '--patience', '120', '--held-out-rows', '2')
    const second = scene.join('second', await invited(first), '--data', DATA, '--patience', '120', '--held-out-rows', '2')
    const [one, other] = await Promise.all([reportOf(first), reportOf(second)])
    expect(other.job).to.equal(one.job)
    expect(other.name).to.equal('ours')
    expect(other.steps).to.equal(3)
    expect(other.members).to.have.length(2)
    expect(other.deltaHash).to.equal(one.deltaHash)
  })

  it('has who joins a host train its model', async function () {
    this.timeout(180_000)
    const joined = scene.join('alone', await invited(scene.host('host', '--model', MODEL, '--threads', '1')), '--data', DATA, '--held-out', '0', '--patience', '120')
    await saidBy(joined, /the host sends/)
  })
})

/** The invite that a process prints. */
async function invited ({ process, ended }: Started): Promise<string> {
  let said = ''
  const heard = pEvent<'data', Buffer>(process.stderr, 'data', {
    filter: chunk => {
      said += chunk.toString()
      return /colanet join (\S+) --data/.test(said)
    },
    timeout: 120_000
  })
  await Promise.race([heard, ended.then(({ stderr }) => { throw new Error(`it ended without an invite: ${stderr}`) })])
  return /colanet join (\S+) --data/.exec(said)![1]
}
