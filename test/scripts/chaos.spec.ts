import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '../support/temporary-folder.js'
import { COPY_ENV, copySources, replaceOnce, ROOT } from './broken-copy.js'

const SOURCES = ['package.json', 'tsconfig.json', 'src', 'scripts', join('test', 'integration', 'scene.ts'), join('test', 'cli', 'run-cli.ts')]

interface Report {
  readonly ok: boolean
  readonly memory?: {
    readonly seeds: number
    readonly kills: number
    readonly restarts: number
    readonly partitions: number
    readonly lies: number
    readonly dropped: number
    readonly delayed: number
    readonly doubled: number
    /** Names all that has happened. */
    readonly events: string
    readonly broken: ReadonlyArray<{ readonly seed: number, readonly broken: readonly string[] }>
  }
  readonly processes?: { readonly kills: number, readonly restarts: number, readonly survivors: number, readonly broken: readonly string[] }
}

interface Ended {
  readonly code: number
  readonly report: Report | undefined
  readonly stderr: string
}

/** What is broken in the code, and the seeds of which one shows it at least. */
interface Break {
  readonly what: string
  readonly file: string
  /** What stands in the file once, and what then stands there. */
  readonly code: string
  readonly broken: string
  readonly seeds: string
  readonly found: RegExp
}

const BREAKS: readonly Break[] = [
  {
    what: 'a member is counted twice',
    file: 'src/merge/weighted.ts',
    code: '  const having = members.flatMap(',
    broken: '  const having = [...members, members[0]].flatMap(',
    seeds: '20',
    found: /is not the sum of its members' contributions/
  },
  {
    what: 'a member leaves before the others have told that they hold its last contribution',
    file: 'src/node/trainer/told.ts',
    code: '    return told !== undefined && ',
    broken: '    return true || ',
    seeds: '50-53',
    found: /has not the last contribution of/
  },
  {
    what: 'only the latest that was heard of is looked for',
    file: 'src/node/job-members.ts',
    code: '    return round >= least\n',
    broken: '    return round >= Math.max(least, known.round)\n',
    seeds: '35-37',
    found: /differ in ΔW/
  },
  {
    what: 'a trainer that was started again does not sign beyond what it had told before',
    file: 'src/node/jobs.ts',
    code: '    return this.#own !== undefined && heard !== undefined && ',
    broken: '    return false && this.#own !== undefined && heard !== undefined && ',
    seeds: '24',
    found: /has not the last contribution of/
  }
]

async function chaos (folder: string, ...args: string[]): Promise<Ended> {
  return await new Promise(resolve => {
    execFile(process.execPath, ['--import', 'tsx', join('scripts', 'chaos', 'main.ts'), ...args], { cwd: folder, env: COPY_ENV }, (error, stdout, stderr) => {
      const last = stdout.trimEnd().split('\n').at(-1) ?? ''
      resolve({ code: Number(error?.code ?? 0), report: last.startsWith('{') ? JSON.parse(last) as Report : undefined, stderr })
    })
  })
}

describe('scripts: chaos', function () {
  this.timeout(300_000)
  const folder = temporaryFolder()

  it('finds that members end in one state whatever befalls them, and that a seed is the same run, event for event', async () => {
    const [first, second] = [await chaos(ROOT, '--seeds', '11-30', '--only', 'memory', '--out', folder()), await chaos(ROOT, '--seeds', '11-30', '--only', 'memory', '--out', folder())]
    expect(first.code, first.stderr).to.equal(0)
    const { memory } = first.report!
    expect(memory).to.deep.include({ seeds: 20, broken: [] })
    for (const fault of ['kills', 'restarts', 'partitions', 'lies', 'dropped', 'delayed', 'doubled'] as const) expect(memory?.[fault], fault).to.be.above(0)
    expect(second.report).to.deep.equal(first.report)
  })

  for (const { what, file, code, broken, seeds, found } of BREAKS) {
    it(`fails where ${what}, and the seed fails again by itself`, async () => {
      await copySources(SOURCES, folder())
      await replaceOnce(folder(), file, code, broken)

      const first = await chaos(folder(), '--seeds', seeds, '--only', 'memory', '--out', 'kept')
      expect(first.code, first.stderr).to.equal(1)
      const [failed] = first.report!.memory!.broken
      expect(first.report!.memory!.broken.flatMap(seed => seed.broken).join('\n')).to.match(found)
      expect(first.stderr).to.include(`npm run chaos -- --seeds ${failed.seed} --only memory`)
      expect(await readFile(join(folder(), 'kept', `${failed.seed}.txt`), 'utf8')).to.include('contributes round 1')

      const again = await chaos(folder(), '--seeds', String(failed.seed), '--only', 'memory', '--out', 'kept')
      expect(again.code).to.equal(1)
      expect(again.report?.memory?.broken).to.deep.equal([failed])
    })
  }

  it('finds the same of a host and two trainers in processes of their own, one of which is killed', async () => {
    const { code, report, stderr } = await chaos(ROOT, '--processes', '3', '--only', 'processes', '--out', folder())
    expect(code, stderr).to.equal(0)
    expect(report?.processes).to.deep.include({ kills: 1, restarts: 1, survivors: 2, broken: [] })
  })

  it('refuses seeds that are none', async () => {
    for (const seeds of ['', '3-1', 'a', '1-2-3', '1.5']) {
      const { code, stderr } = await chaos(ROOT, '--seeds', seeds)
      expect(code, seeds).to.equal(2)
      expect(stderr).to.include('InvalidOptionError')
    }
  })
})
