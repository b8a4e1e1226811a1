import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Ended, errorName, runCli, startCli, type Started } from './run-cli.js'

const COMMANDS = join(import.meta.dirname, 'commands.ts')

/** Commands made for these tests. */
async function run (...args: string[]): Promise<Ended> {
  return await startCli(args, { main: COMMANDS }).ended
}

async function waiting (...args: string[]): Promise<Started> {
  const started = startCli(args, { main: COMMANDS })
  await once(started.process.stderr, 'data')
  return started
}

describe('colanet', () => {
  it('lists the commands, an example and the exit codes, and says its version', async () => {
    const { code, stdout, stderr } = await runCli(['--help'])
    expect(code, stderr).to.equal(0)
    for (const part of ['colanet step', 'colanet simulate', 'Examples:', 'Exit codes:', '130']) expect(stdout).to.include(part)
    expect((await runCli(['--version'])).stdout).to.match(/^\d+\.\d+\.\d+\n$/)
  })

  it('refuses what it does not know, in one line and, to programs, in one object', async () => {
    const { code, stdout, stderr } = await runCli(['simulat', '--json'])
    expect(code).to.equal(2)
    expect(errorName(stdout)).to.equal('InvalidOptionError')
    expect(stderr).to.match(/^colanet: InvalidOptionError: .*did you mean simulate\?.*\n$/)
  })
})

describe('the frame of the commands', () => {
  it('prints the report alone, whatever else is printed', async () => {
    const { code, stdout, stderr } = await run('chat', '--json')
    expect(code).to.equal(0)
    expect(stdout).to.equal('{"said":"much"}\n')
    expect(stderr).to.include('from console.log\n').and.include('from process.stdout\n').and.match(/chat {2}1\/1 {2}100 % .*loss 1\.5\n/)
  })

  it('prints the summary for people', async () => {
    expect((await run('chat')).stdout).to.equal('said much\n')
  })

  it('says an error in one line and, to programs, in one object', async () => {
    const people = await run('fail')
    expect(people).to.deep.equal({ code: 2, stdout: '', stderr: 'colanet: InvalidDataError: no data; use some\n' })
    const programs = await run('fail', '--json')
    expect(programs.code).to.equal(2)
    expect(JSON.parse(programs.stdout)).to.deep.equal({ error: { name: 'InvalidDataError', message: 'no data;\n  use some' } })
  })

  it('shows the stack where it is asked for, with --verbose or DEBUG', async () => {
    const verbose = await run('fail', '--kind', 'foreign', '--verbose')
    expect(verbose.code).to.equal(1)
    expect(verbose.stderr).to.include('colanet: TypeError: nobody foresaw this\n').and.match(/ at .*commands\.ts/)
    const debug = await startCli(['fail'], { main: COMMANDS, env: { DEBUG: 'colanet:*' } }).ended
    expect(debug.stderr).to.match(/ at .*commands\.ts/)
  })

  it('does not report an error after the report', async () => {
    const { code, stdout } = await run('fail', '--late', '--kind', 'foreign', '--json')
    expect(code).to.equal(1)
    expect(stdout).to.equal('{"ok":false}\n')
  })

  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    it(`lets the work save at ${signal}, and says with ${code} that it was ended`, async () => {
      const started = await waiting('wait', '--json')
      started.process.kill(signal)
      const ended = await started.ended
      expect(ended.code, ended.stderr).to.equal(code)
      expect(ended.stdout).to.equal('{"saved":true}\n')
    })
  }

  it('tells an interruption from a failure', async () => {
    const started = await waiting('abort', '--json')
    started.process.kill('SIGINT')
    const ended = await started.ended
    expect(ended.code).to.equal(130)
    expect(errorName(ended.stdout)).to.equal('InterruptedError')
  })

  it('takes one Ctrl+C that arrives twice for one', async () => {
    const started = await waiting('wait', '--save', '300')
    started.process.kill('SIGINT')
    await once(started.process.stderr, 'data')
    started.process.kill('SIGINT')
    expect((await started.ended).stdout).to.equal('saved\n')
  })

  it('leaves at once at the second Ctrl+C', async () => {
    const started = await waiting('wait', '--save', '60000')
    started.process.kill('SIGINT')
    await once(started.process.stderr, 'data')
    const again = setInterval(() => started.process.kill('SIGINT'), 100)
    const ended = await started.ended
    clearInterval(again)
    expect(ended.code).to.equal(130)
    expect(ended.stdout).to.equal('')
  })

  it('leaves when the process that started it is gone', async () => {
    const started = await waiting('wait', '--json')
    started.process.disconnect()
    const ended = await started.ended
    expect(ended.code).to.equal(143)
    expect(ended.stdout).to.equal('{"saved":true}\n')
  })
})
