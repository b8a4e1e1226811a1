import { expect } from 'chai'
import { Together } from '../../../src/node/trainer/together.js'
import type { Step, StepRunner } from '../../../src/node/trainer/step-runner.js'
import type { Batch } from '../../../src/types.js'

const EMPTY_BATCH: Batch = { rows: 0, tensors: new Map() }

/** Remembers what was run. */
function recorder (): { runner: StepRunner, ran: Step[] } {
  const ran: Step[] = []
  const runner: StepRunner = {
    open: async () => await Promise.resolve(new Map()),
    recover: async error => await Promise.reject(error),
    run: async step => {
      ran.push(step)
      return await Promise.resolve(undefined as never)
    }
  }
  return { runner, ran }
}

function stepOf (step: number, purpose: Step['purpose'] = 'train'): Step {
  return { step, purpose, adapted: true, contribution: null, batch: EMPTY_BATCH }
}

describe('trainings that are one pass', () => {
  const forever = new AbortController().signal
  const use = (): void => undefined

  it('wait for one another, step by step', async () => {
    const together = new Together()
    const all = [recorder(), recorder(), recorder()]
    const runners = all.map(({ runner }) => ({ seat: together.seat(), runner })).map(({ seat, runner }) => seat.runner(runner))
    const first = [runners[0], runners[1]].map(async runner => await runner.run(stepOf(0), use, forever))
    await new Promise(setImmediate)
    expect(all.map(({ ran }) => ran.length)).to.deep.equal([0, 0, 0])
    await Promise.all([...first, runners[2].run(stepOf(0), use, forever)])
    const groups = all.map(({ ran }) => ran[0].together)
    expect(groups[0]?.size).to.equal(3)
    expect(new Set(groups.map(group => group?.id)).size).to.equal(1)
    await Promise.all(runners.map(async runner => await runner.run(stepOf(1), use, forever)))
    expect(all[0].ran[1].together?.id).to.not.equal(groups[0]?.id)
  })

  it('do not wait for evaluations, for a step that is tried again, or for who has left', async () => {
    const together = new Together()
    const all = [recorder(), recorder()]
    const seats = all.map(() => together.seat())
    const [first, second] = all.map(({ runner }, i) => seats[i].runner(runner))
    await first.run(stepOf(0, 'evaluate'), use, forever)
    await Promise.all([first.run(stepOf(0), use, forever), second.run(stepOf(0), use, forever)])
    await first.run(stepOf(0), use, forever)
    const waiting = first.run(stepOf(1), use, forever)
    seats[1].leave()
    seats[1].leave()
    await waiting
    await first.run(stepOf(2), use, forever)
    expect(all[0].ran.map(({ together: group }) => group?.size)).to.deep.equal([undefined, 2, undefined, undefined, undefined])
  })

  it('end with their signal', async () => {
    const together = new Together()
    const seats = [together.seat(), together.seat()]
    const first = seats[0].runner(recorder().runner)
    const controller = new AbortController()
    const waiting = first.run(stepOf(0), use, controller.signal)
    controller.abort(new RangeError('enough'))
    expect(await waiting.catch((error: unknown) => (error as Error).name)).to.equal('RangeError')
  })
})
