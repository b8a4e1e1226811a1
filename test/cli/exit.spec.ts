import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { exitCodeOf, InterruptedError, isInterruption } from '../../src/cli/exit.js'
import { ChildError } from '../../src/cli/simulate/processes.js'
import * as errors from '../../src/errors.js'

describe('exit codes', () => {
  const codes: ReadonlyArray<readonly [number, ReadonlyArray<new (message: string) => Error>]> = [
    [1, [errors.NonFiniteError, errors.EngineError, errors.UnsupportedKernelError, Error, TypeError]],
    [2, [errors.InvalidOptionError, errors.InvalidInviteError, errors.InvalidModelError, errors.InvalidTensorError, errors.InvalidBatchError,
      errors.InvalidDataError, errors.InvalidAdapterError, errors.UnknownSiteError, errors.FolderInUseError, errors.BackendError, errors.MemoryLimitError]],
    [3, [errors.NoHostError, errors.RefusedError, errors.ModelMismatchError, errors.BlobUnavailableError,
      errors.ProtocolError, errors.StaleDataError, errors.UnknownJobError, errors.HostBusyError, errors.QuotaError, errors.RelayedOnlyError, errors.DownloadError]]
  ]
  for (const [code, classes] of codes) {
    it(`are ${code} for ${classes.map(({ name }) => name).join(', ')}`, () => {
      for (const OneError of classes) expect(exitCodeOf(new OneError('why')), OneError.name).to.equal(code)
    })
  }

  it('know every error that we define', () => {
    const known = codes.flatMap(([, classes]) => classes)
    for (const one of Object.values(errors)) expect(known).to.include(one)
  })

  it('are those of a process of ours, of paths that cannot be used, and of signals', async () => {
    expect(exitCodeOf(new ChildError('host', { name: 'NoHostError', message: 'none' }))).to.equal(3)
    expect(exitCodeOf(await readFile('/nowhere/at/all').catch((error: unknown) => error))).to.equal(2)
    expect(exitCodeOf(new InterruptedError('ended', 130))).to.equal(130)
    expect(exitCodeOf('a string')).to.equal(1)
  })
})

describe('isInterruption', () => {
  const abort = new DOMException('aborted', 'AbortError')

  it('is nothing while the signal has not ended', () => {
    expect(isInterruption(abort, new AbortController().signal)).to.equal(false)
  })

  it('tells what the end of the signal causes from what goes wrong while saving', () => {
    const reason = new InterruptedError('ended', 130)
    const signal = AbortSignal.abort(reason)
    expect(isInterruption(reason, signal)).to.equal(true)
    expect(isInterruption(abort, signal)).to.equal(true)
    expect(isInterruption(new Error('around it', { cause: reason }), signal)).to.equal(true)
    expect(isInterruption(new Error('disk full'), signal)).to.equal(false)
    expect(isInterruption('a string', signal)).to.equal(false)
  })
})
