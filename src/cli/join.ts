import { AUXILIARY_KINDS } from '../types.js'
import { decodeInvite } from '../node/invite.js'
import { parseTrainOptions } from '../node/trainer/options.js'
import { defineCommand } from './command.js'
import { COMPUTE_OPTIONS } from './engine.js'
import { NETWORK_OPTIONS } from './network.js'
import { MESH_FOLDER, trainInNetwork } from './train-in-network.js'

/** Trains as who has sent the invite does, on data of one's own. */
export const join = defineCommand({
  command: 'join [invite]',
  describe: 'Trains with the job, the settings and the peers of an invite, which colanet train and colanet host print',
  options: {
    invite: { type: 'string', required: true, describe: 'the word that was printed there' },
    data: { type: 'files', required: true, describe: 'your own data: files and folders as train takes them' },
    ownAux: { type: 'choice', choices: AUXILIARY_KINDS, describe: 'which kind of a mixture your own auxiliaries are (default: its first)' },
    fitSites: { type: 'list', describe: 'of the job\'s modules those that this trainer fits (default: all)' },
    heldOut: { type: 'number', min: 0, max: 0.9, default: 0.1, describe: 'share of the data that is never trained on' },
    heldOutRows: { type: 'integer', min: 1, default: 32, describe: 'the most held-out rows on which the loss is taken' },
    fitThreads: { type: 'integer', min: 1, default: 1, describe: 'threads that fits are divided over by modules' },
    patience: { type: 'number', above: 0, default: 60, describe: 'how long to wait for a host, or for a member that says nothing, in seconds' },
    out: { type: 'string', describe: 'folder to write the adapter to, in PEFT\'s format (default: adapters/<job> in --folder)' },
    folder: { type: 'string', default: MESH_FOLDER, describe: 'where the node keeps its identity and checkpoints' },
    ...NETWORK_OPTIONS,
    backend: COMPUTE_OPTIONS.backend
  },
  examples: [['join uAWd3… --data notes.txt', 'as a member of the job that the invite is to']],
  handler: async ({ invite, folder, backend, listen, bootstrap = [], mdns, localDiscovery, ...given }, context) => {
    const { addresses, job, settings } = decodeInvite(invite)
    const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    const options = parseTrainOptions({ ...settings, ...defined })
    context.log(`joins job ${options.job}, model ${options.model}`)
    await trainInNetwork({ options, expected: job, folder, backend, network: { listen, bootstrap: [...bootstrap, ...addresses], mdns, localDiscovery } }, context)
  }
})
