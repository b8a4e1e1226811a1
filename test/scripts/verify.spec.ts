import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { temporaryFolder } from '../support/temporary-folder.js'
import { COPY_ENV, copySources, replaceOnce } from './broken-copy.js'

/** What the script is made of, and what it takes from the tests. */
const SOURCES = ['package.json', 'tsconfig.json', 'src', 'scripts', 'test/model/random-model.ts', 'test/support/batch.ts', 'test/support/compare.ts']

/** What is broken in the code. */
interface Break {
  readonly what: string
  readonly file: string
  /** What stands in the file once, and what then stands there. */
  readonly changes: ReadonlyArray<readonly [code: string, broken: string]>
  /** Propositions that cannot hold then. */
  readonly named: readonly string[]
}

const BREAKS: readonly Break[] = [
  {
    what: 'α is dropped',
    file: 'src/gl/auxiliary.ts',
    changes: [['tf.mul(gradient, this.scale)', 'gradient']],
    named: [
      'GL gradient equals back-propagation, unmerged',
      'GL gradient equals back-propagation, merged',
      'GL gradient equals back-propagation, several users in one pass',
      'GL gradient equals back-propagation, summed over an interval',
      'joint: the mean moves by the mean of the moves'
    ]
  },
  {
    what: 'an interval is averaged',
    file: 'src/gl/gradient-learner.ts',
    changes: [['const sums = new Map(this.#sums)', 'const sums = new Map([...this.#sums].map(([name, sum]) => [name, tf.div(sum, this.#gathered)]))']],
    named: ['GL gradient equals back-propagation, summed over an interval']
  },
  {
    what: 'A and B are averaged apart',
    file: 'src/merge/stack.ts',
    changes: [
      [': stackSites(members, having)', ': { spec: members[0].spec, tensors: meanOfParameters(members) }'],
      ['import { meanOfProducts }', "import { meanOfParameters } from './mean-of-parameters.js'\nimport { meanOfProducts }"]
    ],
    named: ['collaboration\'s ΔW equals the mean of products']
  }
]

interface Report {
  readonly ok: boolean
  readonly propositions: ReadonlyArray<{ readonly name: string, readonly cases: number, readonly error: number | null, readonly bound: number, readonly ok: boolean }>
}

interface Ended {
  readonly code: number
  readonly report: Report
  readonly stderr: string
}

/** Runs the script of a folder with one seed. */
async function verify (folder: string): Promise<Ended> {
  const args = ['--import', 'tsx', join('scripts', 'verify', 'main.ts'), '--seeds', '1', '--json']
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: folder, env: COPY_ENV }, (error, stdout, stderr) => {
      try {
        resolve({ code: Number(error?.code ?? 0), report: JSON.parse(stdout) as Report, stderr })
      } catch (cause) {
        reject(new Error(`no report on standard output, but ${JSON.stringify(stdout)}\n${stderr}`, { cause }))
      }
    })
  })
}

describe('scripts: verify', function () {
  this.timeout(240_000)
  const folder = temporaryFolder()

  async function breakIn ({ file, changes }: Break): Promise<void> {
    for (const [code, broken] of changes) await replaceOnce(folder(), file, code, broken)
  }

  it('finds every proposition within its bound', async () => {
    await copySources(SOURCES, folder())
    const { code, report: { ok, propositions }, stderr } = await verify(folder())
    expect(code, stderr).to.equal(0)
    expect(ok).to.equal(true)
    expect(propositions).to.have.lengthOf(8)
    for (const { name, cases, error, bound } of propositions) {
      expect(cases, name).to.be.above(0)
      expect(error, name).to.be.at.most(bound)
      expect(bound, name).to.be.at.most(1e-5)
    }
  })

  for (const one of BREAKS) {
    it(`fails, and names what does not hold, where ${one.what}`, async () => {
      await copySources(SOURCES, folder())
      await breakIn(one)
      const { code, report: { ok, propositions }, stderr } = await verify(folder())
      expect(code).to.equal(1)
      expect(ok).to.equal(false)
      expect(propositions.filter(({ ok }) => !ok).map(({ name }) => name), stderr).to.include.members([...one.named])
      for (const name of one.named) expect(stderr).to.include(name)
    })
  }
})
