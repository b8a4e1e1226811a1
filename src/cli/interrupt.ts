import { EXIT, InterruptedError } from './exit.js'

/**
 * A second Ctrl+C is one that comes this much later, in milliseconds: a single one often arrives twice, from the terminal
 * and from npm, which passes it on.
 */
const SECOND_AFTER = 500

/**
 * A signal that ends with Ctrl+C, SIGTERM, or the process that started us with a channel to it (`simulate` does). The work
 * then saves and leaves; a second Ctrl+C or SIGTERM leaves at once.
 *
 * @param log tells the user what happens
 */
export function interruptSignal (log: (line: string) => void): AbortSignal {
  const controller = new AbortController()
  let first: number | undefined
  const onSignal = (name: 'SIGINT' | 'SIGTERM', exitCode: number) => (): void => {
    if (first !== undefined) {
      if (performance.now() - first >= SECOND_AFTER) process.exit(exitCode)
      return
    }
    first = performance.now()
    log(`${name}: saving and leaving; once more to leave at once`)
    controller.abort(new InterruptedError(`ended by ${name}`, exitCode))
  }
  process.on('SIGINT', onSignal('SIGINT', EXIT.interrupted))
  process.on('SIGTERM', onSignal('SIGTERM', EXIT.terminated))
  if (process.connected) {
    process.once('disconnect', () => {
      controller.abort(new InterruptedError('the process that started this one is gone', EXIT.terminated))
    })
  }
  return controller.signal
}
