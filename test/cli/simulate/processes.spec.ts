import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { Processes } from '../../../src/cli/simulate/processes.js'
import { rejection } from '../../data/folder.js'
import { temporaryFolder } from '../../support/temporary-folder.js'

/** Stands where the command line would. */
const PROGRAM = `
const [what, ...rest] = process.argv.slice(2)
const ways = {
  report: () => console.log(JSON.stringify({ rest })),
  talk: () => { console.error('one'); console.error('two'); console.log('{}') },
  refuse: () => { console.log(JSON.stringify({ error: { name: 'NoHostError', message: 'no host' } })); process.exitCode = 3 },
  crash: () => { console.error('about to crash'); process.exitCode = 7 },
  silent: () => {},
  wait: () => {
    const alive = setInterval(() => {}, 1000)
    process.on('SIGTERM', () => { clearInterval(alive); console.log('{"saved":true}'); process.exitCode = 143; process.disconnect() })
    process.on('disconnect', () => {})
    console.error('waiting')
  }
}
ways[what]()
`

describe('processes', () => {
  const folder = temporaryFolder()

  async function start ({ signal = new AbortController().signal, onLine = (_line: string): void => {} } = {}): Promise<{ processes: Processes, lines: string[] }> {
    const main = join(folder(), 'program.mjs')
    await writeFile(main, PROGRAM)
    const lines: string[] = []
    const log = (line: string): void => {
      lines.push(line)
      onLine(line)
    }
    return { processes: new Processes({ log, signal, main }), lines }
  }

  it('give their report, and pass on what they say under their name', async () => {
    const { processes, lines } = await start()
    const report = await processes.during(async () => {
      const children = [processes.start('a', ['report', '--x', '1']), processes.start('b', ['talk'])]
      return await Promise.all(children.map(async ({ report }) => await report))
    })
    expect(report).to.deep.equal([{ rest: ['--x', '1', '--json'] }, {}])
    expect(lines).to.deep.equal(['b | one', 'b | two'])
  })

  const failing: ReadonlyArray<readonly [way: string, name: string, said: string]> = [
    ['refuse', 'NoHostError', 'b: no host'],
    ['crash', 'Error', 'b: exit code 7; its last words: about to crash'],
    ['silent', 'Error', 'b: exit code 0']
  ]
  for (const [way, name, said] of failing) {
    it(`fail all together with the error of the one that does: ${way}`, async () => {
      const { processes } = await start()
      const waiting = processes.start('a', ['wait'])
      const error = await rejection(processes.during(async () => {
        processes.start('b', [way])
        await waiting.report
      }))
      expect(error).to.include({ name, message: said })
      await waiting.report // it was stopped
    })
  }

  it('save and leave with the signal, and none starts afterwards', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const { processes } = await start({ signal: controller.signal, onLine: () => controller.abort(reason) })
    const waiting = processes.start('a', ['wait'])
    expect(await rejection(processes.during(async () => await waiting.report))).to.equal(reason)
    expect(await waiting.report).to.deep.equal({ saved: true })
    expect(() => processes.start('b', ['report'])).to.throw('enough')
  })

  it('leave when the work is done', async () => {
    const { processes, lines } = await start()
    const waiting = processes.start('a', ['wait'])
    await processes.during(async () => { await processes.start('b', ['report']).report })
    const report = await waiting.report
    if (lines.includes('a | waiting')) expect(report).to.deep.equal({ saved: true })
  })
})
