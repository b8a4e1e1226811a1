import { twinClaim } from '../claims.js'
import { compare } from '../compare.js'
import { comparison } from '../comparison.js'
import { backPropagationMethod, colaMethod, type Method } from '../method.js'
import { definePart } from '../part.js'
import { DATA_OPTIONS, modelFor, SETTINGS_OPTIONS, settingsOf, usersFrom } from '../settings-options.js'
import type { Mode, AuxiliaryKind } from '../../../src/types.js'
import { TEXT_SETTINGS, textUsers } from '../texts.js'
import { ofAnyModel, READING } from './methods.js'

const KINDS: ReadonlyArray<readonly [name: string, kinds: readonly AuxiliaryKind[]]> = [
  ['low-rank', ['low-rank']],
  ['linear', ['linear']],
  ['MLP', ['mlp']],
  ['low-rank~linear', ['low-rank', 'linear']],
  ['low-rank~MLP', ['low-rank', 'mlp']]
]

/** The members of a joint job move one auxiliary, so that there is no mixture of them. */
function methodsIn (mode: Mode): Method[] {
  const possible = KINDS.filter(([, kinds]) => mode !== 'joint' || kinds.length === 1)
  return possible.flatMap(([name, kinds]) => {
    const twin = `${name}, ${mode}`
    const merge = mode === 'collaboration' ? 'during' : 'never'
    return [backPropagationMethod(twin, kinds, mode), colaMethod(`${name}, ${mode}`, kinds, twin, { mode, merge })]
  })
}

/** Several users (the paper's table 5). */
const METHODS: readonly Method[] = (['joint', 'alone', 'collaboration'] as const).flatMap(methodsIn)

/** Of a quick run; each has several users' work. */
const QUICK_STEPS = 10

const USERS = { quick: 3, full: 8 }

export const collaboration = definePart({
  name: 'collaboration',
  describe: 'several users, each with another kind of text: joint, alone and in collaboration, of one kind of auxiliary and of mixtures',
  options: { ...DATA_OPTIONS, ...SETTINGS_OPTIONS },
  run: async (options, context) => {
    const size = options.quick ? 'quick' : 'full'
    const users = options.data === undefined ? await textUsers(USERS[size], size, context) : usersFrom(options.data)
    const own = options.quick ? { ...TEXT_SETTINGS.quick, steps: QUICK_STEPS } : TEXT_SETTINGS.full
    const settings = settingsOf(options, options.data === undefined ? own : ofAnyModel(own))
    const tasks = [{ name: 'all', model: modelFor('all', options.model), users, settings }]
    const rows = await compare(tasks, METHODS, options, context)
    return comparison('collaboration', {
      title: `Collaboration: ${users.length} users`,
      tasks,
      methods: METHODS,
      rows,
      claims: [twinClaim(rows)],
      notes: [READING, `Over the held-out rows of all users (${users.map(({ name }) => name).join(', ')}), each with what its own rows meet. Of mixtures the users take the kinds in turn. In collaboration what can be merged is merged during training.`]
    })
  }
})
