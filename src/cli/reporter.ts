import type { Reporter } from '../node/reporter.js'
import type { Context } from './command.js'
import type { Meter } from './progress.js'

/** Shows what a role reports on the terminal: one meter at a time. @returns also how to end the last one */
export function terminalReporter ({ progress, log }: Pick<Context, 'progress' | 'log'>): Reporter & { end: () => void } {
  let shown: { readonly what: string, readonly meter: Meter } | undefined
  const end = (): void => {
    shown?.meter.end()
    shown = undefined
  }
  return {
    progress: (what, done, total, note) => {
      if (shown?.what !== what) {
        end()
        shown = { what, meter: progress.start(what, { total, from: Math.max(0, done - 1) }) }
      }
      shown.meter.update(done, note)
      if (done === total) end()
    },
    log,
    end
  }
}
