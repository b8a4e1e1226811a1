import { mergedClaim, sameClaim, twinClaim } from '../claims.js'
import { compare } from '../compare.js'
import { comparison } from '../comparison.js'
import { backPropagationMethod, colaMethod, type Method } from '../method.js'
import { definePart } from '../part.js'
import { DATA_OPTIONS, modelFor, SETTINGS_OPTIONS, settingsOf, usersFrom } from '../settings-options.js'
import type { Settings, Task, User } from '../task.js'
import { TEXT_SETTINGS, textUsers } from '../texts.js'

const FULL = 'full fine-tuning'
const SITES = 'full fine-tuning of the sites'
const LORA = 'LoRA'
const LINEAR = 'linear'
const MLP = 'MLP'

/** One user's: what is trained, by back-propagation and by Gradient Learning, merged and unmerged (the paper's tables 2 to 4). */
export const ONE_USER: readonly Method[] = [
  backPropagationMethod(FULL, ['all']),
  backPropagationMethod(SITES, ['sites']),
  backPropagationMethod(LORA, ['low-rank']),
  colaMethod('low-rank, unmerged', ['low-rank'], LORA),
  colaMethod('low-rank, merged after', ['low-rank'], LORA, { merge: 'after' }),
  colaMethod('low-rank, merged', ['low-rank'], LORA, { merge: 'during' }),
  backPropagationMethod(LINEAR, ['linear']),
  colaMethod('linear, unmerged', ['linear'], LINEAR),
  colaMethod('linear, merged', ['linear'], LINEAR, { merge: 'during' }),
  backPropagationMethod(MLP, ['mlp']),
  colaMethod('MLP', ['mlp'], MLP)
]

/** What the paper says of them. */
export function oneUserClaims (rows: Parameters<typeof twinClaim>[0]): ReturnType<typeof twinClaim>[] {
  return [
    mergedClaim(rows, 'low-rank merged and unmerged agree within noise', 'ColA low-rank, unmerged', ['ColA low-rank, merged after', 'ColA low-rank, merged']),
    sameClaim(rows, 'linear equals full fine-tuning of the adapted sites', SITES, [LINEAR, 'ColA linear, unmerged', 'ColA linear, merged']),
    twinClaim(rows)
  ]
}

/** Kinds of text, each a task. */
const KINDS = { quick: 2, full: 4 }

export const methods = definePart({
  name: 'methods',
  describe: 'one user: full fine-tuning, low-rank, linear and MLP, by back-propagation and by Gradient Learning, merged and unmerged, by task',
  options: { ...DATA_OPTIONS, ...SETTINGS_OPTIONS },
  run: async (options, context) => {
    const size = options.quick ? 'quick' : 'full'
    const users = options.data === undefined ? await textUsers(KINDS[size], size, context) : usersFrom(options.data)
    const tasks = tasksOf(users, options, settingsOf(options, options.data === undefined ? TEXT_SETTINGS[size] : ofAnyModel(TEXT_SETTINGS[size])))
    const rows = await compare(tasks, ONE_USER, options, context)
    return comparison('methods', { title: 'Methods: one user', tasks, methods: ONE_USER, rows, claims: oneUserClaims(rows), notes: [READING] })
  }
})

/** Said under each comparison. */
export const READING = 'Held-out loss in nats, and what is usual for the task; mean ± standard deviation between seeds. Rows without ColA are by back-propagation; merged after: merged for what is held out only.'

function tasksOf (users: readonly User[], { model }: { readonly model?: readonly string[] | undefined }, settings: Settings): Task[] {
  return users.map(user => ({ name: user.name, model: modelFor(user.name, model), users: [user], settings }))
}

/** The model's own sites, and rows as long as it takes them. */
export function ofAnyModel (settings: Settings): Settings {
  return { ...settings, length: undefined, sites: undefined }
}
