import '../../src/cli/stdout.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { startBackend } from '../../src/engine/backend.js'
import { ColaNode } from '../../src/node/node.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import { trainInMesh, type TrainReport } from '../../src/node/trainer/train.js'

/** What the trainer is started with, as JSON. */
export interface SteppingTrainerInit {
  readonly folder: string
  /** Through which it finds the others. */
  readonly discovery: string
  readonly options: Parameters<typeof parseTrainOptions>[0]
}

/** A line of its standard output, as JSON. */
export type SteppingTrainerLine = { readonly host: string } | { readonly step: number } | { readonly done: TrainReport }

/** A trainer that tells of each step as it is done, and of each host that it goes on at. */
const { folder, discovery, options } = JSON.parse(process.argv[2]) as SteppingTrainerInit
const tell = (line: SteppingTrainerLine): void => { writeToStdout(`${JSON.stringify(line)}\n`).catch(() => process.exit(1)) }
const { name } = await startBackend()
const node = await ColaNode.start({ folder, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, localFolder: discovery })
const done = await trainInMesh(node, parseTrainOptions(options), {
  folder,
  engine: name,
  signal: new AbortController().signal,
  reporter: {
    progress: (what, step) => { if (what === 'training') tell({ step }) },
    log: line => {
      const used = /^using host (\w+)$/.exec(line)
      if (used !== null) tell({ host: used[1] })
      else process.stderr.write(`${line}\n`)
    }
  }
})
await node.stop()
await writeToStdout(`${JSON.stringify({ done } satisfies SteppingTrainerLine)}\n`)
process.exit()
