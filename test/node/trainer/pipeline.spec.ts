import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { expect } from 'chai'
import { Pipeline } from '../../../src/node/trainer/pipeline.js'
import { failureOf } from '../../support/failure.js'

describe('a pipeline', () => {
  it('has all at work at once, and gives each its turn when those before it are done', async () => {
    const pipeline = new Pipeline<number>(new AbortController().signal)
    const seen: string[] = []
    for (const i of [0, 1, 2]) {
      pipeline.begin(async turn => {
        seen.push(`${i} begins`)
        await turn()
        seen.push(`${i} has its turn`)
        return i
      })
    }
    expect(seen).to.deep.equal(['0 begins', '1 begins', '2 begins'])
    for (const i of [0, 1, 2]) {
      expect(pipeline.length).to.equal(3 - i)
      expect(await pipeline.next()).to.equal(i)
      await turnOfTheLoop()
      expect(seen).to.have.lengthOf(4 + i).and.include(`${i} has its turn`)
    }
  })

  it('tells of a failure when it is its turn', async () => {
    const pipeline = new Pipeline<number>(new AbortController().signal)
    pipeline.begin(async turn => { await turn(); return 1 })
    pipeline.begin(async () => await Promise.reject(new Error('no')))
    await turnOfTheLoop()
    expect(await pipeline.next()).to.equal(1)
    expect((await failureOf(pipeline.next())).message).to.equal('no')
    expect(pipeline.length).to.equal(0)
  })

  it('ends what waits for its turn when it is closed, or its signal ends', async () => {
    const leaving = new AbortController()
    const ended: unknown[] = []
    const pipelines = [new Pipeline<void>(new AbortController().signal), new Pipeline<void>(leaving.signal)]
    for (const pipeline of pipelines) pipeline.begin(async turn => { await turn().catch((error: unknown) => ended.push(error)) })
    await pipelines[0].close()
    expect(ended).to.have.lengthOf(1)
    leaving.abort(new Error('left'))
    await pipelines[1].close()
    expect(ended[1]).to.have.property('message', 'left')
  })
})
