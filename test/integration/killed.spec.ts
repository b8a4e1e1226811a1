import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { reportOf, saidBy, Scene } from './scene.js'

const ROOT = join(import.meta.dirname, '..', '..')
const MODEL = join(ROOT, 'models', 'tiny')

describe('kill -9', function () {
  this.timeout(180_000)
  let scene: Scene
  let data: string

  beforeEach(async () => {
    scene = await Scene.open()
    data = join(scene.folder, 'notes.txt')
    await writeFile(data, await readFile(join(ROOT, 'LICENSE')))
  })

  afterEach(async () => { await scene.close() })

  const trainer = (name: string, steps: number): ReturnType<Scene['train']> => scene.train(name, '--model', MODEL, '--data', data, '--job', 'survivors',
    '--mode', 'collaboration', '--members', '3', '--patience', '6', '--batch-size', '1', '--length', '16', '--held-out-rows', '2',
    '--seed', '1', '--lr', '0.01', '--steps', String(steps))

  it('of one of three trainers: the others finish, and it goes on from its last contribution', async () => {
    scene.host('host', '--model', MODEL)
    const victim = trainer('victim', 400)
    await saidBy(victim, /training +\d+\/400/)
    const others = [trainer('first', 12), trainer('second', 12)]
    await saidBy(others[0], /training +\d+\/12/)
    victim.process.kill('SIGKILL')
    await victim.ended
    const reports = await Promise.all(others.map(reportOf))
    expect(new Set(reports.map(({ deltaHash }) => deltaHash)).size).to.equal(1)
    for (const { members, losses } of reports) {
      expect(losses).to.have.lengthOf(12)
      expect(members).to.have.lengthOf(3)
    }
    const { round } = reports[0].members.find(({ peer }) => !reports.some(report => report.peer === peer))!
    expect(round).to.be.at.least(1)

    const again = trainer('victim', 400)
    const [, resumed] = /resuming job survivors after step (\d+)/.exec(await firstWords(again)) ?? []
    expect(Number(resumed)).to.be.at.least(round - 1) // the first round is its start
    again.process.kill('SIGKILL')
    await again.ended
  })

  it('of a trainer whose steps run ahead: the same command sends these again with the same auxiliaries, and ends as an undisturbed run', async () => {
    scene.host('host', '--model', MODEL)
    const args = ['--model', MODEL, '--data', data, '--batch-size', '1', '--length', '16', '--held-out-rows', '2', '--lr', '0.01', '--steps', '60', '--ahead', '3', '--stale', 'decay']
    const undisturbed = reportOf(scene.local('alone', ...args))
    const victim = scene.train('trainer', ...args)
    await saidBy(victim, /training +\d+\/60/)
    victim.process.kill('SIGKILL')
    await victim.ended
    const { losses, deltaHash, stale } = await reportOf(scene.train('trainer', ...args))
    expect({ losses, deltaHash, stale }).to.deep.equal({ losses: (await undisturbed).losses, deltaHash: (await undisturbed).deltaHash, stale: { refused: 0, decayed: 59 } })
  })

  it('of the host: the trainer waits for the next one, and its losses are those of an undisturbed run', async () => {
    const first = scene.host('host', '--model', MODEL)
    const args = ['--model', MODEL, '--data', data, '--batch-size', '1', '--length', '16', '--held-out-rows', '2', '--lr', '0.01', '--steps', '60']
    const trained = scene.train('trainer', ...args)
    await saidBy(trained, /training +\d+\/60/)
    first.process.kill('SIGKILL')
    await first.ended
    scene.host('host', '--model', MODEL)
    const { losses, deltaHash } = await reportOf(trained)
    const undisturbed = await reportOf(scene.local('alone', ...args))
    expect(losses).to.deep.equal(undisturbed.losses)
    expect(deltaHash).to.equal(undisturbed.deltaHash)
  })

  it('is not needed to leave a host that hangs: the trainer goes on at another one, and its losses are those of an undisturbed run', async () => {
    const hosts = ['one', 'other'].map(name => scene.host(name, '--model', MODEL))
    await Promise.all(hosts.map(async host => await saidBy(host, /Ctrl\+C stops it/)))
    const args = ['--model', MODEL, '--data', data, '--batch-size', '1', '--length', '16', '--held-out-rows', '2', '--lr', '0.01', '--steps', '60']
    const trained = scene.train('trainer', ...args)
    await saidBy(trained, /training +\d+\/60/)
    hosts[0].process.kill('SIGSTOP')
    hosts[1].process.kill('SIGSTOP')
    await saidBy(trained, /no sign of life/)
    hosts[1].process.kill('SIGCONT')
    const { losses, deltaHash } = await reportOf(trained)
    const undisturbed = await reportOf(scene.local('alone', ...args))
    expect({ losses, deltaHash }).to.deep.equal({ losses: undisturbed.losses, deltaHash: undisturbed.deltaHash })
  })

  async function firstWords (started: ReturnType<Scene['train']>): Promise<string> {
    let said = ''
    started.process.stderr.on('data', (chunk: Buffer) => { said += chunk.toString() })
    await saidBy(started, /resuming job|training/)
    return said
  }
})
