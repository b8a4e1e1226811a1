import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { scaleAt } from '../../src/auxiliary-spec.js'
import { readAdapter } from '../../src/gl/peft/read-adapter.js'
import { writeAdapter } from '../../src/gl/peft/write-adapter.js'
import { matrixOfDelta } from '../../src/merge/sum-of-deltas.js'
import { openModelFolder } from '../../src/model/model-folder.js'
import type { AuxiliarySpec } from '../../src/types.js'
import { randomAdapter } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { runCli } from './run-cli.js'

const ROOT = join(import.meta.dirname, '..', '..')
const TINY = join(ROOT, 'models', 'tiny')

interface Report {
  readonly weights: number[]
  readonly rank: number | Record<string, number> | null
  readonly error: number
  readonly sites: string[]
}

describe('colanet merge', function () {
  this.timeout(240_000)
  const folder = temporaryFolder()

  /** An adapter for some modules of the embedded model. */
  async function adapter (name: string, spec: AuxiliarySpec, ending: string): Promise<string> {
    const { network: { info } } = await openModelFolder(TINY)
    const sites = info.sites.filter(site => site.name.endsWith(ending))
    const path = join(folder(), name)
    await writeAdapter(path, { spec, tensors: randomAdapter(spec, sites, seeded(name.length)) }, { ...info, name: 'tiny' })
    return path
  }

  async function merged (out: string, ...args: string[]): Promise<Report> {
    const { code, stdout, stderr } = await runCli(['merge', '--json', '--out', join(folder(), out), ...args])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Report
  }

  async function lossOf (...args: string[]): Promise<number> {
    const data = join(folder(), 'text.txt')
    await writeFile(data, (await readFile(join(ROOT, 'LICENSE'), 'utf8')).slice(0, 600))
    const { code, stdout, stderr } = await runCli(['eval', '--json', '--data', data, ...args])
    expect(code, stderr).to.equal(0)
    return (JSON.parse(stdout) as { loss: number }).loss
  }

  /** α·ΔW of every site. */
  async function deltasOf (path: string): Promise<Map<string, number[]>> {
    const { spec, tensors } = await readAdapter(path)
    return new Map([...tensors].map(([site, own]) => {
      const [weight, a, b] = ['weight', 'lora_A.weight', 'lora_B.weight'].map(name => own.get(name))
      const { values } = matrixOfDelta(weight === undefined ? { a: a!, b: b! } : { weight })
      return [site, [...values].map(value => value * scaleAt(spec, site))]
    }))
  }

  it('writes one adapter that is the weighted sum, exact, and the model with it in its weights', async () => {
    const [first, second] = [await adapter('a', { kind: 'low-rank', rank: 2, alpha: 0.1 }, 'c_attn'), await adapter('bb', { kind: 'low-rank', rank: 3, alpha: 0.2 }, 'h.0.attn.c_attn')]
    const report = await merged('sum', '--adapter', first, second, '--weights', '0.5,-1.5')
    expect(report.error).to.equal(0)
    expect(report.weights).to.deep.equal([0.5, -1.5])
    expect(report.rank).to.include({ 'transformer.h.0.attn.c_attn': 5, 'transformer.h.1.attn.c_attn': 2 })
    const [sum, ...parts] = await Promise.all([join(folder(), 'sum'), first, second].map(deltasOf))
    expect([...sum.keys()]).to.deep.equal(report.sites)
    for (const [site, values] of sum) {
      const expected = values.map((_, i) => 0.5 * parts[0].get(site)![i] - 1.5 * (parts[1].get(site)?.[i] ?? 0))
      expect(relativeError(values, expected), site).to.be.below(1e-6)
    }

    await merged('whole', '--adapter', first, second, '--weights', '0.5,-1.5', '--merged')
    expect(await readdir(join(folder(), 'whole'))).to.have.members(await readdir(TINY))
    const [beside, inside, without] = [await lossOf('--adapter', join(folder(), 'sum')), await lossOf('--model', join(folder(), 'whole')), await lossOf()]
    expect(Math.abs(inside - beside) / beside).to.be.below(1e-5)
    expect(Math.abs(without - beside)).to.be.above(1e-3)
  })

  it('truncates to a rank, or within an error, and tells what that leaves out', async () => {
    const [first, second] = [await adapter('a', { kind: 'low-rank', rank: 3, alpha: 1 }, 'mlp.c_proj'), await adapter('bb', { kind: 'linear', rank: 1, alpha: 1 }, 'h.2.mlp.c_proj')]
    expect(await merged('exact', '--adapter', first, second)).to.deep.include({ weights: [0.5, 0.5], rank: null, error: 0 })
    const whole = await deltasOf(join(folder(), 'exact'))
    for (const [out, ...args] of [['low', '--rank', '2'], ['near', '--max-error', '0.3']]) {
      const { rank, error } = await merged(out, '--adapter', first, second, ...args)
      const made = await deltasOf(join(folder(), out))
      expect(relativeError([...made.values()].flat(), [...whole.values()].flat())).to.be.closeTo(error, 1e-5)
      if (out === 'low') expect(rank).to.equal(2)
      else expect(error).to.be.within(0.01, 0.3)
    }
  })

  it('learns weights, and one more adapter, on validation data', async () => {
    const [first, second] = [await adapter('a', { kind: 'low-rank', rank: 1, alpha: 0.5 }, 'c_attn'), await adapter('bb', { kind: 'low-rank', rank: 2, alpha: 0.5 }, 'c_attn')]
    const data = join(folder(), 'text.txt')
    await writeFile(data, (await readFile(join(ROOT, 'README.md'), 'utf8')).slice(0, 4000))
    const { weights, rank, ...report } = await merged('out', '--adapter', first, second, '--weights', '1,0.5', '--validation', data, '--fit', '3', '--steps', '8', '--batch-size', '2', '--length', '32')
    const { loss } = report as Report & { readonly loss: { readonly before: number, readonly after: number } }
    expect(loss.after).to.be.below(loss.before)
    expect(report).to.include({ kept: 'learned', error: 0 })
    expect(rank).to.equal(1 + 2 + 3)
    expect(weights[0]).to.be.below(1) // random adapters do harm
    expect(weights[1]).to.be.below(0.5)
  })

  it('refuses what it cannot do, says why, and leaves everything as it was', async () => {
    const own = await adapter('a', { kind: 'low-rank', rank: 1, alpha: 1 }, 'c_attn')
    const tied = await adapter('tied', { kind: 'low-rank', rank: 1, alpha: 1 }, 'wte')
    const before = await readdir(folder())
    const out = ['--out', join(folder(), 'out')]
    for (const [args, said] of [
      [['--adapter', own, '--out', own], 'not empty'],
      [['--adapter', join(folder(), 'none'), ...out], 'adapter_config.json'],
      [['--adapter', own, own, '--weights', '1', ...out], '--weights'],
      [['--adapter', own, '--rank', '1', '--max-error', '0.1', ...out], '--max-error'],
      [['--adapter', own, '--fit', '2', ...out], '--validation'],
      [['--adapter', tied, '--merged', ...out], 'in common with lm_head']
    ] as const) {
      const { code, stdout, stderr } = await runCli(['merge', ...args])
      expect(code, stderr).to.equal(2)
      expect(stderr).to.include(said)
      expect(stdout).to.equal('')
    }
    expect(await readdir(folder())).to.deep.equal(before)
  })
})
