import '../../src/cli/stdout.js'
import { defineCommand } from '../../src/cli/command.js'
import { run } from '../../src/cli/run.js'
import { InvalidDataError } from '../../src/errors.js'

/** The frame with commands that do what the real ones should not, started by `run.spec.ts`. */

const wait = defineCommand({
  command: 'wait',
  describe: 'waits for its end',
  options: { save: { type: 'integer', default: 0, describe: 'how long it takes to save, in milliseconds' } },
  examples: [['wait', 'until it is told to end']],
  handler: async ({ save }, { signal, log, report }) => {
    const alive = setInterval(() => {}, 1000)
    log('waiting')
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
    await new Promise<void>(resolve => setTimeout(resolve, save))
    clearInterval(alive)
    await report({ saved: true }, 'saved')
  }
})

const abort = defineCommand({
  command: 'abort',
  describe: 'waits, and gives up where it is',
  options: {},
  examples: [['abort', 'until it is told to end']],
  handler: async (_, { signal, log }) => {
    const alive = setInterval(() => {}, 1000)
    log('waiting')
    await new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => {
      clearInterval(alive)
      reject(new DOMException('The operation was aborted', 'AbortError'))
    }))
  }
})

const chat = defineCommand({
  command: 'chat',
  describe: 'prints where it should not',
  options: {},
  examples: [['chat', 'and reports']],
  handler: async (_, { report, progress }) => {
    console.log('from console.log') // eslint-disable-line no-console
    process.stdout.write('from process.stdout\n')
    const meter = progress.start('chat', { total: 1 })
    meter.update(1, 'loss 1.5')
    meter.end()
    await report({ said: 'much' }, 'said much')
  }
})

const fail = defineCommand({
  command: 'fail',
  describe: 'fails',
  options: {
    kind: { type: 'choice', choices: ['ours', 'foreign'], default: 'ours', describe: 'of the error' },
    late: { type: 'boolean', describe: 'after its report' }
  },
  examples: [['fail', 'at once']],
  handler: async ({ kind, late }, { report }) => {
    if (late) await report({ ok: false }, 'not ok')
    if (kind === 'ours') throw new InvalidDataError('no data;\n  use some')
    throw new TypeError('nobody foresaw this')
  }
})

process.exit(await run(process.argv.slice(2), {
  wait: () => Promise.resolve(wait),
  abort: () => Promise.resolve(abort),
  chat: () => Promise.resolve(chat),
  fail: () => Promise.resolve(fail)
}))
