import { totalmem } from 'node:os'
import { MemoryLimitError } from '../errors.js'

/** What passes may take beside the weights unless told otherwise, in bytes: half of the machine's, or of what the process may have. */
export function defaultMemory (): number {
  return Math.min(totalmem(), process.constrainedMemory() || Infinity) / 2
}

/** @throws {MemoryLimitError} if a pass takes more than it may; both in bytes */
export function checkMemory (taken: number, allowed: number): void {
  if (taken > allowed) throw new MemoryLimitError(`a pass takes ${megabytes(taken)} MB beside the weights, and the engine may take ${megabytes(allowed)}; use shorter rows, or a larger --memory`)
}

function megabytes (bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}
