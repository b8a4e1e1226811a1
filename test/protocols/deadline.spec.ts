import { getEventListeners, once } from 'node:events'
import { expect } from 'chai'
import { Deadline, unlessAborted } from '../../src/protocols/deadline.js'
import { failureOf } from '../support/failure.js'

/** Longer than any test, in milliseconds. */
const NEVER = 60_000

/** A timer that starts after another one in the same turn, and is longer, ends after it however busy the machine is. */
describe('deadline', () => {
  const deadlines: Deadline[] = []
  afterEach(() => {
    for (const deadline of deadlines.splice(0)) deadline.clear()
  })

  function deadlineOf (timeout: number, parent?: AbortSignal): Deadline {
    const deadline = new Deadline(timeout, 'what is waited for', parent)
    deadlines.push(deadline)
    return deadline
  }

  it('ends with a TimeoutError when nothing touches it', async () => {
    const { signal } = deadlineOf(5)
    expect(signal.aborted).to.equal(false)
    await once(signal, 'abort')
    expect((signal.reason as Error).name).to.equal('TimeoutError')
  })

  it('says what took too long, and how long that was', async () => {
    const { signal } = deadlineOf(5)
    await once(signal, 'abort')
    expect((signal.reason as Error).message).to.include('what is waited for').and.include('5 ms')
  })

  it('starts anew with each touch', async () => {
    const touched = deadlineOf(30)
    for (let i = 0; i < 3; i++) {
      const { signal } = deadlineOf(20)
      signal.addEventListener('abort', () => touched.touch())
      await once(signal, 'abort')
    }
    expect(touched.signal.aborted).to.equal(false)
    await once(touched.signal, 'abort')
  })

  it('does not end while it is paused, and does after the next touch', async () => {
    const paused = deadlineOf(5)
    paused.pause()
    await once(deadlineOf(20).signal, 'abort')
    expect(paused.signal.aborted).to.equal(false)
    paused.touch()
    await once(paused.signal, 'abort')
  })

  it('ends with its parent, for the same reason, paused or not', () => {
    for (const pause of [false, true]) {
      const parent = new AbortController()
      const deadline = deadlineOf(NEVER, parent.signal)
      if (pause) deadline.pause()
      const reason = new Error('enough')
      parent.abort(reason)
      expect(deadline.signal.reason).to.equal(reason)
    }
  })

  it('has ended when its parent had before', () => {
    const reason = new Error('enough')
    expect(deadlineOf(NEVER, AbortSignal.abort(reason)).signal.reason).to.equal(reason)
  })

  it('ends for the first reason of several', () => {
    const parent = new AbortController()
    const deadline = deadlineOf(NEVER, parent.signal)
    const reason = new Error('first')
    deadline.abort(reason)
    parent.abort(new Error('second'))
    deadline.abort(new Error('third'))
    deadline.touch()
    expect(deadline.signal.reason).to.equal(reason)
  })

  it('never ends once it is cleared', async () => {
    const parent = new AbortController()
    const cleared = deadlineOf(5, parent.signal)
    cleared.clear()
    parent.abort()
    await once(deadlineOf(20).signal, 'abort')
    expect(cleared.signal.aborted).to.equal(false)
  })

  it('leaves no listener on its parent, however it ends', async () => {
    const parent = new AbortController()
    const timedOut = deadlineOf(5, parent.signal)
    const ended = deadlineOf(NEVER, parent.signal)
    const cleared = deadlineOf(NEVER, parent.signal)
    expect(getEventListeners(parent.signal, 'abort')).to.have.length(3)
    ended.abort(new Error('enough'))
    cleared.clear()
    await once(timedOut.signal, 'abort')
    expect(getEventListeners(parent.signal, 'abort')).to.have.length(0)
  })
})

describe('unlessAborted', () => {
  const forEver = new Promise<never>(() => { /* neither */ })

  it('gives what the promise gives', async () => {
    const { signal } = new AbortController()
    expect(await unlessAborted(Promise.resolve(7), signal)).to.equal(7)
    const failure = new Error('no')
    expect(await failureOf(unlessAborted(Promise.reject(failure), signal))).to.equal(failure)
  })

  it('gives the reason of a signal that ends first, or has ended', async () => {
    const reason = new Error('enough')
    const ends = new AbortController()
    const waiting = failureOf(unlessAborted(forEver, ends.signal))
    ends.abort(reason)
    expect(await waiting).to.equal(reason)
    expect(await failureOf(unlessAborted(forEver, AbortSignal.abort(reason)))).to.equal(reason)
  })

  it('lets the work fail afterwards, unheard', async () => {
    const reason = new Error('enough')
    const { promise, reject } = Promise.withResolvers<never>()
    expect(await failureOf(unlessAborted(promise, AbortSignal.abort(reason)))).to.equal(reason)
    reject(new Error('nobody waits for it'))
    await new Promise(setImmediate) // an unhandled rejection would end the test here
  })

  it('leaves no listener on the signal, whichever ends first', async () => {
    const { signal } = new AbortController()
    await unlessAborted(Promise.resolve(), signal)
    await failureOf(unlessAborted(Promise.reject(new Error('no')), signal))
    expect(getEventListeners(signal, 'abort')).to.have.length(0)
    const aborted = AbortSignal.abort(new Error('enough'))
    await failureOf(unlessAborted(forEver, aborted))
    expect(getEventListeners(aborted, 'abort')).to.have.length(0)
  })
})
