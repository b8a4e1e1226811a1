import { EMBEDDED_MODEL } from '../../src/cli/package-root.js'
import type { Options, Values } from '../../src/cli/options.js'
import { InvalidOptionError } from '../../src/errors.js'
import type { Settings, User } from './task.js'

/** What of the settings can be said on the command line; what is not said is the task's own. */
export const SETTINGS_OPTIONS = {
  steps: { type: 'integer', min: 1, describe: 'batches of each user' },
  batchSize: { type: 'integer', min: 1, describe: 'rows in a batch' },
  rank: { type: 'integer', min: 1, describe: 'rank of low-rank auxiliaries' },
  optimizer: { type: 'choice', choices: ['adamw', 'sgd', 'lion'], describe: 'what moves whatever is trained (not adafactor: its steps depend on the size of what it moves, so that a weight and its change go other ways)' },
  interval: { type: 'integer', min: 1, describe: 'batches that are gathered before a fit' },
  sites: { type: 'list', describe: 'modules to adapt, as for colanet train' },
  heldOutRows: { type: 'integer', min: 1, describe: 'the most held-out rows that are predicted' },
  lr: { type: 'list', describe: 'peak learning rates, as in low-rank=4e-3,mlp=1e-3,full=1e-3, where full is of linear auxiliaries and of weights' }
} as const satisfies Options

/** What methods are compared on, in place of what the project makes. */
export const DATA_OPTIONS = {
  length: { type: 'integer', min: 2, describe: 'tokens in a row of text' },
  data: { type: 'files', describe: 'what to train on in place of what the project makes: NAME=PATH, each one more; files and folders as colanet train takes them' },
  model: { type: 'files', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet); or NAME=FOLDER, of one of --data' }
} as const satisfies Options

/** What was typed over what is the task's own. @throws {InvalidOptionError} */
export function settingsOf ({ lr = [], ...typed }: Values<typeof SETTINGS_OPTIONS> & Partial<Values<Pick<typeof DATA_OPTIONS, 'length'>>>, own: Settings): Settings {
  const said = Object.fromEntries(Object.entries(typed).filter(([name, value]) => name in own && value !== undefined))
  return { ...own, ...said, rates: { ...own.rates, ...Object.fromEntries(lr.map(item => rateFrom(item, own.rates))) } }
}

/** What `--data` names; those of one name together. @throws {InvalidOptionError} */
export function usersFrom (data: readonly string[]): User[] {
  const pairs = data.map(item => named(item, '--data'))
  return [...new Set(pairs.map(([name]) => name))].map(name => ({ name, data: pairs.filter(([own]) => own === name).map(([, path]) => path) }))
}

/** The folder of the model of one of `--data`. */
export function modelFor (name: string, models: readonly string[] = []): string {
  const own = models.find(item => item.startsWith(`${name}=`))?.slice(name.length + 1)
  return own ?? models.find(item => !item.includes('=')) ?? EMBEDDED_MODEL
}

function rateFrom (item: string, rates: Settings['rates']): [string, number] {
  const [name, text] = named(item, '--lr')
  const rate = Number(text)
  if (!(name in rates) || !(rate > 0)) throw new InvalidOptionError(`--lr ${item} is not possible; use ${Object.keys(rates).join(', ')}, each with = and a number above 0`)
  return [name, rate]
}

/** Names become those of files. */
function named (item: string, option: string): [string, string] {
  const found = /^([\w-]+)=(.+)$/.exec(item)
  if (found === null) throw new InvalidOptionError(`${option} ${item} is not possible; use NAME=…, with a name of letters, digits, - and _`)
  return [found[1], found[2]]
}
