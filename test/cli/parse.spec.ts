import { expect } from 'chai'
import { flag } from '../../src/cli/options.js'
import { parse, type Parsed } from '../../src/cli/parse.js'
import { simulate } from '../../src/cli/simulate/simulate.js'
import { step } from '../../src/cli/step.js'
import { rejection } from '../data/folder.js'

async function parsed (...args: string[]): Promise<Parsed> {
  return await parse(args, [step, simulate])
}

describe('parse', () => {
  for (const { command, options, examples } of [step, simulate]) {
    it(`helps with ${command}: every option, the examples and the exit codes`, async () => {
      const shown = await parsed(command, '--help')
      expect(shown.kind).to.equal('show')
      const text = (shown as { text: string }).text
      for (const part of [`colanet ${command} ${examples[0][0].split(' ')[1] ?? ''}`.trim(), '--json', '--verbose', 'Examples:', 'Exit codes:']) {
        expect(text).to.include(part)
      }
      for (const name of Object.keys(options)) expect(text).to.include(`  ${flag(name)} `)
    })
  }

  it('gives the command and its options, with defaults', async () => {
    const run = await parsed('simulate', '--batch-size', '7', '--sites', 'a,b', '--lr=1e-3', '--json')
    expect(run.kind).to.equal('run')
    const { command, options } = run as Extract<Parsed, { kind: 'run' }>
    expect(command).to.equal(simulate)
    expect(options).to.include({ batchSize: 7, lr: 1e-3, trainers: 3, mode: 'all', out: undefined })
    expect(options.sites).to.deep.equal(['a', 'b'])
  })

  it('takes options before the command and in camel case', async () => {
    const { options } = await parsed('--json', 'simulate', '--batchSize', '7') as Extract<Parsed, { kind: 'run' }>
    expect(options.batchSize).to.equal(7)
  })

  const refused: Array<[args: string[], said: string]> = [
    [['simulat'], 'did you mean simulate?'],
    [['frobnicate'], 'use one of step, simulate'],
    [[], 'a command is missing'],
    [['step', '--modle', 'x'], 'did you mean --model?'],
    [['step', '-m', 'x'], 'no option -m'],
    [['step', 'x', '--model', 'y'], 'takes options only, not x'],
    [['step', '--model'], 'model'],
    [['step', '--batch', 'x', '--out', 'y'], '--model is missing'],
    [['simulate', '--rank', 'x'], '--rank "x"'],
    [['simulate', '--rank', '1.5'], '--rank "1.5"'],
    [['simulate', '--rank', '0'], '--rank "0"'],
    [['simulate', '--lr', 'NaN'], '--lr "NaN"'],
    [['simulate', '--batch-size='], '--batch-size ""'],
    [['simulate', '--trainers', '9'], 'to 8'],
    [['simulate', '--mode', 'together'], 'all, alone, collaboration, joint'],
    [['simulate', '--steps', '1', '--steps', '2'], '--steps is given 2 times']
  ]
  for (const [args, said] of refused) {
    it(`refuses colanet ${args.join(' ')}`, async () => {
      const error = await rejection(parsed(...args))
      expect(error).to.have.property('name', 'InvalidOptionError')
      expect(error!.message).to.include(said)
    })
  }
})
