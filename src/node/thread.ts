import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as errors from '../errors.js'

/** An error as it crosses to another thread. */
export interface ThreadError {
  readonly name: string
  readonly message: string
}

/**
 * Starts a thread.
 *
 * @param main of the thread: a module, with the ending that the caller's own has
 */
export function startThread (main: URL, workerData: unknown): Worker {
  const fromSources = extname(main.pathname) === '.ts'
  return new Worker(fromSources ? compiled(main) : main, { eval: fromSources, workerData })
}

export function told (error: unknown): ThreadError {
  const { name, message } = error as Error
  return { name, message }
}

/** An error keeps its name across threads, by which it is told apart. */
export function rebuilt ({ name, message }: ThreadError): Error {
  const Known = (errors as Readonly<Record<string, new (message: string) => Error>>)[name] as (new (message: string) => Error) | undefined
  return Known === undefined ? new errors.EngineError(`${name}: ${message}`) : new Known(message)
}

/** From the sources a thread has to ask for the compiler itself. */
function compiled (main: URL): string {
  return `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(main)}) })`
}
