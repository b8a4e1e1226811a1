import { join, relative } from 'node:path'
import { BACKENDS } from '../../engine/backend.js'
import { replaceFile } from '../../files.js'
import { OPTIMIZERS } from '../../gl/optimizer.js'
import { MIXED } from '../../node/trainer/options.js'
import { WIRE_OPTIONS } from '../../node/trainer/wire-form.js'
import { AUXILIARY_KINDS, MERGES, MODES } from '../../types.js'
import { defineCommand } from '../command.js'
import { EMBEDDED_MODEL, PACKAGE_ROOT } from '../package-root.js'
import { findProblems, WrongResultError } from './check.js'
import { plotLosses } from './plot.js'
import { Processes } from './processes.js'
import { hostReport, joinRuns, type SimulationReport } from './report.js'
import { summarise } from './summary.js'
import { findModules, gatherTexts, KIND_NAMES } from './texts.js'
import { runMesh } from './run-mesh.js'

/** The whole method on one machine: hosts and trainers in processes of their own, on text that is already there. */
export const simulate = defineCommand({
  command: 'simulate',
  describe: 'Hosts and trainers in processes of their own on this machine, on text found in node_modules; compares the modes',
  options: {
    hosts: { type: 'integer', min: 1, default: 1, describe: 'how many lend the base model' },
    trainers: { type: 'integer', min: 1, max: KIND_NAMES.length, default: 3, describe: 'how many train, each on another kind of text' },
    mode: { type: 'choice', choices: ['all', ...MODES], default: 'all', describe: 'all is alone, then collaboration' },
    model: { type: 'string', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet)' },
    steps: { type: 'integer', min: 1, default: 50, describe: 'batches of each trainer in each mode' },
    batchSize: { type: 'integer', min: 1, default: 4, describe: 'rows in a batch' },
    length: { type: 'integer', min: 2, default: 128, describe: 'tokens in a row' },
    lr: { type: 'number', above: 0, default: 4e-3, describe: 'peak learning rate' },
    rank: { type: 'integer', min: 1, default: 8, describe: 'rank of low-rank auxiliaries' },
    alpha: { type: 'number', above: 0, default: 16, describe: 'PEFT\'s lora_alpha: α is alpha / rank' },
    sites: { type: 'list', default: ['c_attn', 'c_proj', 'c_fc'], describe: 'modules to adapt' },
    aux: { type: 'string', default: 'low-rank', describe: `kind of auxiliaries: ${AUXILIARY_KINDS.join(', ')}; of a mixture, as low-rank${MIXED}mlp, trainers have the kinds in turn` },
    merge: { type: 'choice', choices: MERGES, describe: 'when auxiliaries are merged into the base model, see train' },
    optimizer: { type: 'choice', choices: OPTIMIZERS, default: 'adamw', describe: 'what moves the auxiliaries' },
    interval: { type: 'integer', min: 1, default: 1, describe: 'batches that are gathered before a fit' },
    seed: { type: 'integer', min: 0, max: 2 ** 32 - 1, default: 0, describe: 'decides all that is random' },
    wire: { type: 'choice', choices: WIRE_OPTIONS, default: 'auto', describe: 'what a host sends, see train' },
    backend: { type: 'choice', choices: ['auto', ...BACKENDS], default: 'auto', describe: 'what computes' },
    out: { type: 'string', describe: 'folder of the run (default: runs/ and the time)' }
  },
  examples: [
    ['simulate', 'one host and three trainers, alone and then in collaboration'],
    ['simulate --trainers 5 --mode joint --steps 100 --out runs/joint', 'five trainers that move one adapter together']
  ],
  handler: async (options, { signal, report, log }) => {
    const begun = performance.now()
    const run = options.out ?? join('runs', new Date().toISOString().slice(0, 19).replaceAll(':', '-'))
    const modes = options.mode === 'all' ? ['alone', 'collaboration'] as const : [options.mode]
    const modules = findModules(PACKAGE_ROOT)
    const texts = await gatherTexts(modules, options.trainers, signal)
    const trainers = texts.map(({ name, text }) => ({ name, text, data: join(run, 'data', `${name}.txt`) }))
    for (const { data, text } of trainers) await replaceFile(data, text)
    log(`text of ${trainers.length} kinds from ${relative('', modules)}, run folder ${run}`)

    const processes = new Processes({ log, signal })
    const { runs, hosts } = await runMesh(processes, { ...options, model: options.model ?? EMBEDDED_MODEL, run, modes, members: trainers, log })
    const members = trainers.map(({ name, data }, i) => joinRuns(name, data, runs.map(reports => reports[i])))
    const problems = findProblems(members, modes)
    const [{ model, engine: fits }] = runs[0]
    const engine = hostReport.safeParse(hosts[0]).data?.engine ?? fits
    const result: SimulationReport = {
      ok: problems.length === 0, problems, run, model, engine, modes, seconds: Math.round((performance.now() - begun) / 100) / 10, members, hosts
    }
    await replaceFile(join(run, 'report.json'), JSON.stringify(result))
    await replaceFile(join(run, 'loss.svg'), plotLosses(runs.flatMap((reports, m) =>
      reports.map(({ losses }, i) => ({ trainer: trainers[i].name, mode: modes[m], losses })))))
    await report(result, summarise(result))
    if (!result.ok) throw new WrongResultError(problems.join('; '))
  }
})
