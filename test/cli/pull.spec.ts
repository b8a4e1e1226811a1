import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, watch } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { describeModel } from '../../src/model/base-model.js'
import { filesOf, type Files, FIRST_COMMIT, HubServer, modelOf } from '../hub/hub-server.js'
import { FIXTURES } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { type Ended, errorName, startCli, type Started } from './run-cli.js'

const ROOT = join(import.meta.dirname, '..', '..')
const ORIGINAL = join(FIXTURES, 'gpt2-odd')
const WEIGHTS = 'model.safetensors'
const TOKEN = 'hf_reader'

interface Report {
  readonly model: string
  readonly revision: string
  readonly commit: string
  readonly folder: string
  readonly files: number
  readonly bytes: number
  readonly downloaded: number
}

describe('colanet pull', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  let files: Files
  let hub: HubServer
  before(async () => { files = await filesOf(ORIGINAL) })
  beforeEach(async () => {
    hub = await HubServer.start({ 'acme/odd': modelOf(files), 'acme/gated': { ...modelOf(files), gatedTo: [TOKEN] } })
  })
  afterEach(async () => await hub.stop())

  /** Of nobody, unless told otherwise. */
  function environment (env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return { HF_ENDPOINT: hub.url, HF_HOME: folder(), HF_TOKEN: '', HUGGING_FACE_HUB_TOKEN: '', HF_TOKEN_PATH: '', ...env }
  }

  function start (args: readonly string[], env?: NodeJS.ProcessEnv): Started {
    return startCli(['pull', ...args], { env: environment(env) })
  }

  async function pull (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
    return await start(args, env).ended
  }

  async function pulled (out: string): Promise<Report> {
    const { code, stdout, stderr } = await pull(['acme/odd', '--out', out, '--json'])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Report
  }

  /** A pull that stands after so many bytes of the weights. */
  async function standing (out: string, bytes: number): Promise<Started> {
    hub.fault = name => name === WEIGHTS ? { stallAfter: bytes } : undefined
    await mkdir(out)
    const changes = watch(out)
    const started = start(['acme/odd', '--out', out])
    for await (const change of changes) {
      if (change.filename !== null && await partialSize(out) === bytes) break
    }
    hub.fault = () => undefined
    return started
  }

  async function partialSize (out: string): Promise<number> {
    const partial = (await readdir(out)).find(name => name.startsWith(`${WEIGHTS}.`) && name.endsWith('.incomplete'))
    return partial === undefined ? 0 : (await readFile(join(out, partial))).byteLength
  }

  it('brings a model that loads as the original, and the second time nothing', async () => {
    const out = join(folder(), 'models', 'odd')
    const report = await pulled(out)
    const { bytes } = report
    expect(report).to.deep.equal({ model: 'acme/odd', revision: 'main', commit: FIRST_COMMIT, folder: out, files: 3, bytes, downloaded: bytes })
    expect((await describeModel(out)).id).to.equal((await describeModel(ORIGINAL)).id)
    const before = hub.contents.length
    expect(await pulled(out)).to.deep.equal({ ...report, downloaded: 0 })
    expect(hub.contents).to.have.lengthOf(before)
  })

  it('puts it into models/NAME of the present folder, and says what to do next', async () => {
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), join(ROOT, 'src', 'cli', 'main.ts'), 'pull', 'acme/odd'], {
      cwd: folder(), env: { ...process.env, ...environment() }
    })
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    expect(stdout, stderr).to.include(`next: colanet host --model ${join('models', 'odd')}`)
    expect((await readdir(join(folder(), 'models', 'odd'))).sort()).to.deep.equal(['config.json', 'generation_config.json', WEIGHTS])
  })

  it('goes on where it was killed', async () => {
    const out = join(folder(), 'odd')
    const { process, ended } = await standing(out, 40_000)
    process.kill('SIGKILL')
    await ended
    const { bytes, downloaded } = await pulled(out)
    expect(hub.contents.at(-1)).to.include({ range: 'bytes=40000-' })
    expect(hub.contents.reduce((sum, { sent }) => sum + sent, 0)).to.equal(bytes)
    expect(downloaded).to.equal(files[WEIGHTS].byteLength - 40_000)
    expect((await describeModel(out)).id).to.equal((await describeModel(ORIGINAL)).id)
  })

  it('leaves at Ctrl+C, and goes on the next time', async () => {
    const out = join(folder(), 'odd')
    const { process, ended } = await standing(out, 50_000)
    process.kill('SIGINT')
    const { code, stdout, stderr } = await ended
    expect([code, stdout], stderr).to.deep.equal([130, ''])
    expect((await pulled(out)).downloaded).to.equal(files[WEIGHTS].byteLength - 50_000)
  })

  it('does not write where another process writes', async () => {
    const out = join(folder(), 'odd')
    const first = await standing(out, 10)
    const { code, stdout } = await pull(['acme/odd', '--out', out, '--json'])
    expect([code, errorName(stdout)]).to.deep.equal([2, 'FolderInUseError'])
    hub.cut()
    expect((await first.ended).code).to.equal(0)
  })

  it('brings what is gated to those who may have it, and shows the token nowhere', async () => {
    const out = join(folder(), 'gated')
    for (const [token, code, said] of [['', 3, 'set HF_TOKEN'], ['hf_stranger', 3, 'the token of HF_TOKEN'], [TOKEN, 0, '']] as const) {
      const ended = await pull(['acme/gated', '--out', out, '--verbose'], { HF_TOKEN: token })
      expect(ended.code, ended.stderr).to.equal(code)
      expect(ended.stderr).to.include(said)
      if (token !== '') expect(ended.stdout + ended.stderr).to.not.include(token)
    }
    expect(hub.requests.filter(({ host, authorization }) => host === 'cdn' && authorization !== undefined)).to.deep.equal([])
  })

  it('refuses what it cannot do, and says why', async () => {
    for (const [args, code, said] of [
      [[], 2, 'ORG/NAME'],
      [['../x'], 2, '"../x"'],
      [['a/b/c'], 2, '"a/b/c"'],
      [['acme/odd', '--out', join(ORIGINAL, 'config.json', 'x')], 2, 'ENOTDIR'],
      [['acme/odd', '--revision', 'none'], 2, 'no revision none']
    ] as const) {
      const { code: actual, stdout, stderr } = await pull([...args, '--json'])
      expect(actual, stderr).to.equal(code)
      expect(stderr).to.include(said)
      expect(errorName(stdout)).to.equal('InvalidOptionError')
      if (args[0]?.includes('acme') !== true) expect(hub.requests).to.deep.equal([])
    }
  })
})
