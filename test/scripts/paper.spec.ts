import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { drawGlyphs } from '../../scripts/glyphs/draw-set.js'
import { BackPropagation } from '../../scripts/paper/back-propagation.js'
import { brokenIn, mergedClaim, sameClaim, twinClaim } from '../../scripts/paper/claims.js'
import type { Row } from '../../scripts/paper/compare.js'
import { trainByGradientLearning } from '../../scripts/paper/gradient-learning.js'
import { markdown, markdownTable } from '../../scripts/paper/markdown.js'
import { backPropagationMethod, colaMethod, type Method } from '../../scripts/paper/method.js'
import { trainByBackPropagation } from '../../scripts/paper/ordinary.js'
import type { UserResult } from '../../scripts/paper/result.js'
import { statistic } from '../../scripts/paper/statistics.js'
import { type Settings, type Task, type Trained, trainOptionsOf } from '../../scripts/paper/task.js'
import { exitCodeOf } from '../../src/cli/exit.js'
import { EMBEDDED_MODEL } from '../../src/cli/package-root.js'
import { WrongResultError } from '../../src/cli/simulate/check.js'
import { startBackend } from '../../src/engine/backend.js'
import { scoresOf } from '../../src/node/evaluation.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { sourceInFolder } from '../../src/node/model-source.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import { readTrainingData, type TrainingData } from '../../src/node/trainer/training-data.js'
import type { AuxiliaryKind, Merge, Mode } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { writeModel } from '../model/random-model.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const ROOT = join(import.meta.dirname, '..', '..')

const SETTINGS: Settings = {
  steps: 7,
  batchSize: 3,
  length: 12,
  rank: 2,
  optimizer: 'adamw',
  schedule: 'linear',
  interval: 1,
  sites: undefined,
  heldOut: 0.3,
  heldOutRows: 8,
  rates: { 'low-rank': 0.02, mlp: 0.01, full: 0.01 }
}

const { signal } = new AbortController()
const SILENT = { progress: () => {}, log: () => {} }

/** A model of random weights and two users' data of one kind. */
async function taskIn (folder: string, kind: 'text' | 'images', settings: Settings = SETTINGS): Promise<Task> {
  const model = join(folder, 'model')
  if (kind === 'images') {
    await drawGlyphs({ out: folder, size: 8, perClass: 3, testPerClass: 3, noise: 0.1, seed: 3 }, () => {})
    await writeModel(model, { model_type: 'cnn-classifier', num_channels: 1, image_size: 8, num_labels: 10, conv_channels: [3, 4] }, seeded(1))
    return { name: kind, model, users: ['train', 'test'].map(name => ({ name, data: [join(folder, name)] })), settings: { ...settings, length: undefined } }
  }
  await writeModel(model, { vocab_size: 4096, n_positions: 16, n_embd: 8, n_layer: 2, n_head: 2 }, seeded(1))
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(EMBEDDED_MODEL, name), join(model, name))
  const users = await Promise.all([['readme', 'README.md'], ['architecture', 'docs/architecture.md']].map(async ([name, file]) => {
    const path = join(folder, `${name}.txt`)
    await writeFile(path, (await readFile(join(ROOT, file), 'utf8')).slice(0, 3000))
    return { name, data: [path] }
  }))
  return { name: kind, model, users, settings: { ...settings, sites: ['c_attn', 'c_fc'] } }
}

interface Both {
  readonly byBackPropagation: (trained: readonly Trained[], mode: Mode) => Promise<UserResult[]>
  readonly byGradientLearning: (kinds: readonly AuxiliaryKind[], mode: Mode, merge: Merge) => Promise<UserResult[]>
}

/** Both ways with the same data and seed, by as many users as kinds are named. */
async function withBoth (task: Task, folder: string, seed: number, use: (both: Both) => Promise<void>): Promise<void> {
  const { model: path, settings, users } = task
  const [model, lent] = [await BackPropagation.open(path, () => {}), await LocalModel.open(path, {}, () => {})]
  try {
    const data = await Promise.all(users.map(async (user): Promise<TrainingData> =>
      await readTrainingData(parseTrainOptions(trainOptionsOf(task, user, 'linear', seed)), sourceInFolder(path, lent.info), SILENT, signal)))
    await use({
      byBackPropagation: async (trained, mode) => await trainByBackPropagation(model, trained.map((own, k) => ({ ...users[k], trained: own, data: data[k] })), { settings, mode, seed, signal }),
      byGradientLearning: async (kinds, mode, merge) => await trainByGradientLearning(lent, kinds.map((kind, k) => ({ ...users[k], kind, read: data[k] })),
        { model: path, settings, mode, merge, seed, folder: await mkdtemp(join(folder, 'run-')), signal })
    })
  } finally {
    await model.dispose()
    await lent.dispose()
  }
}

function expectSame (actual: readonly UserResult[], expected: readonly UserResult[]): void {
  expect(actual.map(({ user, parameters }) => ({ user, parameters }))).to.deep.equal(expected.map(({ user, parameters }) => ({ user, parameters })))
  for (const [k, { losses, heldOut }] of expected.entries()) {
    expect(new Set(losses).size).to.equal(losses.length) // it has learned something
    expect(actual[k].losses).to.have.lengthOf(losses.length)
    for (const [step, loss] of losses.entries()) expect(actual[k].losses[step] / loss, `step ${step}`).to.be.closeTo(1, 1e-4)
    expect(scoresOf(actual[k].heldOut).loss / scoresOf(heldOut).loss, 'held out').to.be.closeTo(1, 1e-4)
  }
}

describe('scripts: paper', function () {
  this.timeout(240_000)
  const folder = temporaryFolder()

  before(async () => { await startBackend() })

  for (const kind of ['text', 'images'] as const) {
    it(`Gradient Learning has the losses of back-propagation, merged or not: ${kind}`, async () => {
      await withBoth(await taskIn(folder(), kind), folder(), 4, async ({ byBackPropagation, byGradientLearning }) => {
        const before = tf.memory().numTensors
        for (const trained of ['low-rank', 'linear', 'mlp'] as const) {
          const expected = await byBackPropagation([trained], 'alone')
          const merges = trained === 'mlp' ? ['never'] as const : ['never', 'after', 'during'] as const
          for (const merge of merges) expectSame(await byGradientLearning([trained], 'alone', merge), expected)
          if (trained === 'linear') expectSame(await byBackPropagation(['sites'], 'alone'), expected)
        }
        expect(tf.memory().numTensors).to.equal(before)
      })
    })
  }

  it('several users have them too, together and alone, of one kind and of mixtures, whatever the interval', async () => {
    for (const interval of [1, 3]) {
      const own = await mkdtemp(join(folder(), 'task-'))
      await withBoth(await taskIn(own, 'text', { ...SETTINGS, interval, optimizer: interval === 1 ? 'adamw' : 'sgd' }), own, 5, async ({ byBackPropagation, byGradientLearning }) => {
        for (const [kinds, mode] of [
          [['low-rank', 'low-rank'], 'joint'], [['mlp', 'mlp'], 'joint'], [['linear', 'low-rank'], 'alone'],
          [['low-rank', 'low-rank'], 'collaboration'], [['low-rank', 'linear'], 'collaboration'], [['low-rank', 'mlp'], 'collaboration']
        ] as const) {
          expectSame(await byGradientLearning(kinds, mode, mode === 'collaboration' ? 'during' : 'never'), await byBackPropagation(kinds, mode))
        }
      })
    }
  })

  it('full fine-tuning moves every weight', async () => {
    await withBoth(await taskIn(folder(), 'text'), folder(), 6, async ({ byBackPropagation }) => {
      const [[all], [sites]] = [await byBackPropagation(['all'], 'alone'), await byBackPropagation(['sites'], 'alone')]
      expect(all.losses[0]).to.be.closeTo(sites.losses[0], 1e-5)
      expect(all.parameters).to.be.above(4096 * 8)
      expect(scoresOf(all.heldOut).loss).to.be.below(scoresOf(sites.heldOut).loss)
    })
  })

  it('tables are Markdown that can be read as it is', () => {
    expect(markdownTable(['', 'loss'], [['LoRA', '2.5 ± 0.1'], ['a|b', '3']])).to.equal([
      '|      |      loss |',
      '| ---- | --------: |',
      '| LoRA | 2.5 ± 0.1 |',
      '| a\\|b |         3 |'
    ].join('\n'))
    const text = markdown({ title: 'T', head: ['a'], rows: [], notes: ['n'], charts: new Map([['c', '']]), data: {}, claims: [{ claim: 'x is y', findings: [{ what: 'x and y', difference: 2, bound: 1 }] }] })
    expect(text).to.include('**Does not hold**: x is y').and.to.include('![c](c.svg)').and.to.include('- n')
  })

  it('deviations are those of a sample', () => {
    expect(statistic([1, 3])).to.deep.equal({ mean: 2, deviation: Math.SQRT2 })
    expect(statistic([5])).to.deep.equal({ mean: 5, deviation: null })
  })

  describe('claims', () => {
    const row = (method: Method, ...losses: number[]): Row => ({ task: 't', method, runs: [], measures: new Map([['loss', statistic(losses)], ['accuracy', statistic([0.5])]]) })
    const lora = backPropagationMethod('LoRA', ['low-rank'])
    const [never, during] = [colaMethod('never', ['low-rank'], 'LoRA'), colaMethod('during', ['low-rank'], 'LoRA', { merge: 'during' })]

    it('hold within their bounds, and name the rows that break them', () => {
      const rows = [row(lora, 2, 2.2), row(never, 2.01, 2.21), row(during, 2.02, 2.24)]
      expect(brokenIn([twinClaim(rows), mergedClaim(rows, 'same', 'ColA never', ['ColA during'])])).to.deep.equal([])
      expect(brokenIn([sameClaim(rows, 'equal', 'LoRA', ['ColA never'])])).to.have.lengthOf(1)
      const [broken, ...others] = brokenIn([twinClaim([row(lora, 2, 2), row(never, 2, 2), row(during, 2.1, 2.1)])])
      expect(broken).to.include('ColA during and LoRA, t')
      expect(others).to.deep.equal([])
      expect(brokenIn([twinClaim([row(lora, 2), row(never, NaN)])])).to.have.lengthOf(1)
    })

    it('end the command with exit code 1 where they are broken', () => {
      expect(exitCodeOf(new WrongResultError(brokenIn([twinClaim([row(lora, 2), row(never, 3)])]).join()))).to.equal(1)
    })
  })

  it('one command makes a table, its numbers and its curves', async () => {
    const out = join(folder(), 'out')
    await drawGlyphs({ out: join(folder(), 'glyphs'), size: 8, perClass: 4, testPerClass: 1, noise: 0.1, seed: 3 }, () => {})
    await mkdir(out)
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', join(ROOT, 'scripts', 'paper', 'main.ts'), 'scratch', '--data', join(folder(), 'glyphs', 'train'),
      '--image-size', '8', '--classifiers', 'linear', '--steps', '2', '--batch-size', '4', '--seeds', '2', '--seed', '7', '--out', out], { cwd: ROOT })
    expect(stdout).to.include('| ColA MLP').and.to.include('linear: accuracy')
    expect(stdout.trim()).to.equal((await readFile(join(out, 'scratch.md'), 'utf8')).trim())
    const { part, claims, rows } = JSON.parse(await readFile(join(out, 'scratch.json'), 'utf8')) as { part: string, claims: Array<{ holds: boolean }>, rows: Array<{ runs: Array<{ seed: number }> }> }
    expect(part).to.equal('scratch')
    expect(claims.map(({ holds }) => holds)).to.deep.equal([true, true, true])
    expect(rows[0].runs.map(({ seed }) => seed)).to.deep.equal([7, 8])
    expect(await readFile(join(out, 'scratch-linear.svg'), 'utf8')).to.match(/^<svg/)
  })
})
