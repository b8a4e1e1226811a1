import '../../src/cli/stdout.js'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { checkOptions, type Options } from '../../src/cli/options.js'
import { WrongResultError } from '../../src/cli/simulate/check.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { startBackend } from '../../src/engine/backend.js'
import { optionLines, typedOptions } from '../options.js'
import { partNamed } from '../part-named.js'
import { log, runScript } from '../run-script.js'
import { inTemporaryFolder } from '../temporary-folder.js'
import { brokenIn, isBroken } from './claims.js'
import { markdown } from './markdown.js'
import { COMMON_OPTIONS, type Outcome, type Part } from './part.js'
import { collaboration } from './parts/collaboration.js'
import { cost } from './parts/cost.js'
import { methods } from './parts/methods.js'
import { scratch } from './parts/scratch.js'

/** `npm run paper -- PART`: one of the paper's tables, as Markdown and JSON, with learning curves, and what it says of them checked. */

const PARTS: readonly Part[] = [methods, collaboration, scratch, cost]

const OPTIONS = {
  ...COMMON_OPTIONS,
  out: { type: 'string', describe: 'folder for tables and curves (default: runs/paper- and the time)' }
} as const satisfies Options

function help (): string {
  return [
    'npm run paper -- [PART] [options]', '',
    'Makes a table of the paper (arXiv 2404.13844), as PART.md and PART.json, with learning curves as SVG; without PART all of them.',
    'What the paper says of them is checked, and exit code 1 says that something of it does not hold.', '',
    ...optionLines(OPTIONS, 14).map(line => `  ${line}`), '',
    ...PARTS.flatMap(({ name, describe, options }) => [`  ${name}: ${describe}`, ...optionLines(options, 16).map(line => `      ${line}`)]), ''
  ].join('\n')
}

async function main (args: readonly string[], signal: AbortSignal): Promise<void> {
  if (args.includes('--help')) {
    await writeToStdout(help())
    return
  }
  const [name] = args
  const all = args.length === 0 || name.startsWith('-')
  const wanted = all ? PARTS : [partNamed(PARTS, name)]
  const options: Options = { ...OPTIONS, ...(all ? {} : wanted[0].options) }
  const typed = typedOptions(all ? args : args.slice(1), options)
  const { out: asked } = checkOptions(OPTIONS, typed)
  const chosen = wanted.map(part => ({ part, values: checkOptions({ ...COMMON_OPTIONS, ...part.options }, typed) }))
  const out = asked ?? join('runs', `paper-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`)
  log(`fits on ${(await startBackend()).description}`)
  const broken = await inTemporaryFolder('colanet-paper-', async folder => {
    const found: string[] = []
    for (const { part, values } of chosen) {
      const began = performance.now()
      const own = join(folder, part.name)
      await mkdir(own)
      const outcome = await part.run(values, { folder: own, signal, log })
      await write(out, part, outcome, (performance.now() - began) / 1000)
      found.push(...brokenIn(outcome.claims))
    }
    return found
  })
  log(`tables and curves are in ${out}`)
  if (broken.length > 0) throw new WrongResultError(broken.join('; '))
}

async function write (out: string, { name }: Part, outcome: Outcome, seconds: number): Promise<void> {
  const { charts, claims, data } = outcome
  const text = markdown(outcome)
  const machine = { cpu: cpus().at(0)?.model ?? null, cores: cpus().length, node: process.version }
  await mkdir(out, { recursive: true })
  await writeFile(join(out, `${name}.md`), text)
  await writeFile(join(out, `${name}.json`), JSON.stringify({ part: name, seconds, machine, claims: claims.map(own => ({ ...own, holds: !own.findings.some(isBroken) })), ...data }))
  for (const [chart, svg] of charts) await writeFile(join(out, `${chart}.svg`), svg)
  await writeToStdout(`${text}\n`)
}

await runScript('paper', main)
