/** What the exit code of every command says. */
export const EXIT = { done: 0, failed: 1, wrongCall: 2, network: 3, interrupted: 130, terminated: 143 } as const

export const EXIT_CODES_HELP = `Exit codes:
  0    done
  1    the work failed: a wrong result, or an error that nobody foresaw
  2    the call is wrong: an option, a file, a model or data
  3    the network failed: no host, refused, another model, a time that ran out
  130  ended by Ctrl+C, after saving (143: by SIGTERM)`

/** Ctrl+C, SIGTERM, or the end of the process that started us. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError'
  readonly exitCode: number

  constructor (message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

const WRONG_CALL = new Set([
  'InvalidOptionError', 'InvalidModelError', 'InvalidTensorError', 'InvalidBatchError', 'InvalidDataError',
  'InvalidAdapterError', 'InvalidIdentityError', 'InvalidInviteError', 'UnknownSiteError', 'FolderInUseError', 'BackendError', 'MemoryLimitError'
])

const NETWORK = new Set([
  'NoHostError', 'RelayedOnlyError', 'HostBusyError', 'QuotaError', 'RefusedError', 'UnknownJobError', 'ModelMismatchError', 'BlobUnavailableError', 'ProtocolError', 'StaleDataError', 'TimeoutError', 'DownloadError'
])

/** What the file system says when a path that was named cannot be used. */
const PATH_CODES = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'EEXIST', 'EACCES', 'EPERM', 'EROFS'])

/** By name, so that an error which another process reported counts as if it were our own. */
export function exitCodeOf (error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode
  if (!(error instanceof Error)) return EXIT.failed
  const { code, path } = error as NodeJS.ErrnoException
  if (WRONG_CALL.has(error.name) || (path !== undefined && PATH_CODES.has(String(code)))) return EXIT.wrongCall
  return NETWORK.has(error.name) ? EXIT.network : EXIT.failed
}

/**
 * Whether the error only says that the work was told to end: then the reason of the signal is what is shown, and
 * anything else that goes wrong while saving is a failure of its own.
 */
export function isInterruption (error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false
  return error === signal.reason || (error instanceof Error && (error.name === 'AbortError' || isInterruption(error.cause, signal)))
}
