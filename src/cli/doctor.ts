import type { Checked } from '../node/doctor/check.js'
import { diagnose } from '../node/doctor/diagnose.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { meshInit, NETWORK_OPTIONS } from './network.js'
import { terminalReporter } from './reporter.js'

/** Something that a node needs is not there. */
export class FaultsFoundError extends Error {
  override readonly name = 'FaultsFoundError'
}

/** Columns of the names of checks. */
const NAME_WIDTH = 10

/** Says why nothing connects. */
export const doctor = defineCommand({
  command: 'doctor',
  describe: 'Tests all that a node needs, step by step, and says of each that fails what to do',
  options: {
    folder: { type: 'string', default: '.colanet/train', describe: 'folder of the node that is examined; it may be running' },
    model: { type: 'string', describe: 'the base model of which a host is looked for: its folder, or its id or name (default: any)' },
    freeDisk: { type: 'integer', min: 0, default: 256, describe: 'MB that shall be free in --folder' },
    timeout: { type: 'number', above: 0, default: 15, describe: 'how long one check may take, in seconds' },
    ...NETWORK_OPTIONS,
    ...ENGINE_OPTIONS
  },
  examples: [
    ['doctor', 'this machine, and whoever is found on it or the local network'],
    ['doctor --model gpt2 --bootstrap /ip4/192.168.1.2/tcp/4001/p2p/12D3KooW…', 'whether one could train there']
  ],
  handler: async ({ folder, model, freeDisk, timeout, listen, bootstrap, mdns, localDiscovery, ...engine }, { signal, progress, report, log }) => {
    const reporter = terminalReporter({ progress, log })
    try {
      const { dtype, baseQuantize } = engine
      const checks = await diagnose({
        folder,
        model,
        form: { dtype, baseQuantize },
        network: meshInit({ listen, bootstrap, mdns, localDiscovery }),
        engine: engineOptions(engine),
        freeDisk: freeDisk * 1e6,
        timeout: timeout * 1000
      }, { signal, onCheck: (name, done, total) => reporter.progress('doctor', done, total, name) })
      const faults = checks.filter(({ state }) => state === 'failed')
      reporter.end()
      await report({ ok: faults.length === 0, checks }, checks.map(line).join('\n'))
      if (faults.length > 0) throw new FaultsFoundError(`${faults.map(({ name }) => name).join(', ')}: see what to do in the report`)
    } finally {
      reporter.end()
    }
  }
})

function line ({ state, name, detail, advice }: Checked): string {
  const mark = { ok: 'ok      ', failed: 'FAILED  ', skipped: 'skipped ' }[state]
  const text = `${mark}${name.padEnd(NAME_WIDTH)}  ${detail}`
  return advice === null ? text : `${text}\n${' '.repeat(mark.length + NAME_WIDTH)}  → ${advice}`
}
