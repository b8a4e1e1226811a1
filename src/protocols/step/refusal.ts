import * as errors from '../../errors.js'
import { MAX_REFUSAL } from './constants.js'

/** What a host may say is wrong. Other errors are its own affair, and their messages stay with it. */
const REFUSALS = new Map([
  errors.BlobUnavailableError, errors.EngineError, errors.HostBusyError, errors.InvalidAdapterError, errors.InvalidBatchError, errors.InvalidOptionError, errors.MemoryLimitError,
  errors.InvalidTensorError, errors.ModelMismatchError, errors.NonFiniteError, errors.ProtocolError, errors.QuotaError,
  errors.RefusedError, errors.UnknownJobError, errors.UnknownSiteError
].map(refusal => [refusal.name, refusal]))

export interface Refusal {
  readonly name: string
  readonly message: string
}

export function toRefusal (error: unknown): Refusal {
  const { name, message } = error as Error
  return REFUSALS.has(name) ? { name, message: message.slice(0, MAX_REFUSAL) } : { name: 'RefusedError', message: 'the host failed' }
}

/** The error that a host named, if it is one of ours; a RefusedError for all others. */
export function fromRefusal ({ name, message }: Refusal): Error {
  const Refused = REFUSALS.get(name) ?? errors.RefusedError
  return new Refused(message)
}
