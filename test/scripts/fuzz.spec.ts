import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '../support/temporary-folder.js'
import { COPY_ENV, copySources, replaceOnce, ROOT } from './broken-copy.js'

const SOURCES = ['package.json', 'tsconfig.json', 'src', 'scripts']

interface Report {
  readonly ok: boolean
  readonly messages: number
  readonly decoders: ReadonlyArray<{ readonly name: string, readonly ok: boolean, readonly accepted: number, readonly refused: Readonly<Record<string, number>>, readonly broken: { readonly message: number, readonly error: string } | null }>
}

interface Ended {
  readonly code: number
  readonly report: Report
  readonly stderr: string
}

/** What is broken in the code. */
interface Break {
  readonly what: string
  readonly decoder: string
  readonly file: string
  /** What stands in the file once, and what then stands there. */
  readonly code: string
  readonly broken: string
  readonly error: string
}

const BREAKS: readonly Break[] = [
  {
    what: 'a signature is not looked at',
    decoder: 'contribution reply',
    file: 'src/protocols/contribution/record.ts',
    code: 'return await publicKey.verify(signed(record), record.signature)',
    broken: 'return true',
    error: 'InvalidAcceptedError'
  },
  {
    what: 'a header is taken for what it should be',
    decoder: 'weight norms',
    file: 'src/tensor/safetensors.ts',
    code: 'if (!isRecord(entry)) throw new InvalidTensorError(`${name}: its header entry is not an object`)', // eslint-disable-line no-template-curly-in-string
    broken: 'if (!isRecord(entry)) throw new TypeError(name)',
    error: 'TypeError'
  },
  {
    what: 'a number may be infinite',
    decoder: 'adapter',
    file: 'src/gl/adapter-message.ts',
    code: 'if (!allFinite(values))',
    broken: 'if (values.length < 0 && !allFinite(values))',
    error: 'InvalidAcceptedError'
  }
]

async function fuzz (folder: string, ...args: string[]): Promise<Ended> {
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, ['--import', 'tsx', join('scripts', 'fuzz', 'main.ts'), ...args], { cwd: folder, env: COPY_ENV }, (error, stdout, stderr) => {
      try {
        resolve({ code: Number(error?.code ?? 0), report: JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Report, stderr })
      } catch (cause) {
        reject(new Error(`no report on standard output, but ${JSON.stringify(stdout)}\n${stderr}`, { cause }))
      }
    })
  })
}

describe('scripts: fuzz', function () {
  this.timeout(240_000)
  const folder = temporaryFolder()

  it('finds that every decoder decodes to something valid or refuses by name', async () => {
    const { code, report, stderr } = await fuzz(ROOT, '--messages', '700', '--seed', '7', '--out', folder())
    expect(code, stderr).to.equal(0)
    expect(report.ok).to.equal(true)
    expect(report.messages).to.equal(700 * report.decoders.length)
    for (const { name, accepted, refused } of report.decoders) {
      expect(accepted, name).to.be.above(0)
      expect(Object.values(refused).reduce((sum, count) => sum + count, 0), name).to.equal(700 - accepted).and.above(0)
    }
  })

  for (const { what, decoder, file, code, broken, error } of BREAKS) {
    it(`fails where ${what}, and the message that it keeps fails again by its number`, async () => {
      await copySources(SOURCES, folder())
      await replaceOnce(folder(), file, code, broken)

      const first = await fuzz(folder(), '--messages', '3000', '--only', decoder, '--out', 'kept')
      expect(first.code).to.equal(1)
      const [{ broken: found }] = first.report.decoders
      expect(found?.error, first.stderr).to.equal(error)
      expect(first.stderr).to.include(`--seed 1 --only '${decoder}' --message ${found?.message}`)
      const kept = join(folder(), 'kept', `${decoder.replaceAll(' ', '-')}-1-${found?.message}.hex`)
      expect(await readFile(kept, 'utf8')).to.match(/^([0-9a-f]{2})*$/)

      const again = await fuzz(folder(), '--only', decoder, '--message', String(found?.message), '--out', 'kept')
      expect(again.code).to.equal(1)
      expect(again.report.decoders[0].broken).to.deep.equal(found)
    })
  }
})
