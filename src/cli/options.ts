import { InvalidOptionError } from '../errors.js'

interface Described {
  /** What it means, and its unit. */
  readonly describe: string
  /** Whether the command cannot do without. */
  readonly required?: true
}

interface TextOption extends Described {
  readonly type: 'string'
  readonly default?: string
}

interface ChoiceOption extends Described {
  readonly type: 'choice'
  readonly choices: readonly string[]
  readonly default?: string
}

interface NumberOption extends Described {
  readonly type: 'number' | 'integer'
  /** The least that is accepted. */
  readonly min?: number
  /** What is accepted is more than this. */
  readonly above?: number
  /** The most that is accepted. */
  readonly max?: number
  readonly default?: number
}

/** `--mdns`, or `--no-mdns`. */
interface FlagOption extends Described {
  readonly type: 'boolean'
  /** @default false */
  readonly default?: boolean
}

/**
 * `list`: words with commas between them, `--sites c_attn,c_proj`. `files`: words with spaces between them,
 * `--data a.txt b.txt`. Either may be given several times.
 */
interface ListOption extends Described {
  readonly type: 'list' | 'files'
  readonly default?: readonly string[]
}

export type Option = TextOption | ChoiceOption | NumberOption | FlagOption | ListOption

/** By name in camel case. */
export type Options = Readonly<Record<string, Option>>

/** What the handler gets: undefined only where an option is neither required nor has a default. */
export type Values<O extends Options> = { readonly [K in keyof O]: Value<O[K]> | Absent<O[K]> }

type Value<O extends Option> =
  O extends { readonly type: 'choice', readonly choices: readonly (infer C)[] } ? C
    : O extends NumberOption ? number
      : O extends FlagOption ? boolean
        : O extends ListOption ? readonly string[] : string

type Absent<O extends Option> =
  O extends { readonly type: 'boolean' } | { readonly required: true } | { readonly default: {} } ? never : undefined // eslint-disable-line @typescript-eslint/no-empty-object-type

/** The type of whatever an option may be. */
type AnyValue = string | number | boolean | readonly string[] | undefined

/**
 * What was typed, checked.
 *
 * @param typed strings, arrays of strings and booleans by name in camel case
 * @throws {InvalidOptionError} naming the option, what was found and what would be accepted
 */
export function checkOptions<O extends Options> (options: O, typed: Readonly<Record<string, unknown>>): Values<O> {
  const values = Object.entries(options).map(([name, option]) => [name, checkOption(flag(name), option, typed[name])])
  return Object.fromEntries(values) as Values<O>
}

/** As it is typed: `batchSize` is `--batch-size`. */
export function flag (name: string): string {
  return name.length === 1 ? `-${name}` : `--${kebab(name)}`
}

export function kebab (name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

/** The option's type, limits and whether it is needed, for the help: ` [integer from 1]`. */
export function outline (option: Option): string {
  const type = describeType(option)
  const facts = [...(type === '' ? [] : [type]), ...(option.required === true ? ['required'] : [])]
  return facts.length === 0 ? '' : ` [${facts.join(', ')}]`
}

function describeType (option: Option): string {
  switch (option.type) {
    case 'choice': return option.choices.join(' | ')
    case 'number':
    case 'integer': return [option.type, ...limits(option)].join(' ')
    case 'list': return 'a,b,…'
    case 'files': return 'paths'
    case 'string':
    case 'boolean': return ''
  }
}

function checkOption (name: string, option: Option, typed: unknown): AnyValue {
  if (typed === undefined) {
    if (option.required === true) throw new InvalidOptionError(`${name} is missing: ${option.describe}`)
    return option.type === 'boolean' ? option.default ?? false : option.default
  }
  if (option.type === 'boolean') return checkFlag(name, typed)
  const words = (Array.isArray(typed) ? typed : [typed]).map(String)
  if (option.type === 'list' || option.type === 'files') return checkList(name, option, words)
  if (words.length > 1) throw new InvalidOptionError(`${name} is given ${words.length} times (${words.join(', ')}); give it once`)
  const [word] = words
  if (option.type === 'number' || option.type === 'integer') return checkNumber(name, option, word)
  if (word === '') throw new InvalidOptionError(`${name} is empty; ${option.describe}`)
  if (option.type === 'choice' && !option.choices.includes(word)) {
    throw new InvalidOptionError(`${name} ${word} is not known; use one of ${option.choices.join(', ')}`)
  }
  return word
}

function checkFlag (name: string, typed: unknown): boolean {
  if (typeof typed !== 'boolean') throw new InvalidOptionError(`${name} takes no value and is given once; use ${name}, or ${name.replace('--', '--no-')}`)
  return typed
}

function checkList (name: string, option: ListOption, words: readonly string[]): readonly string[] {
  const items = option.type === 'list' ? words.flatMap(word => word.split(',')).map(item => item.trim()) : words
  if (items.includes('')) throw new InvalidOptionError(`${name} ${words.join(' ')} has an empty item; ${option.describe}`)
  return items
}

function checkNumber (name: string, option: NumberOption, word: string): number {
  const value = word.trim() === '' ? NaN : Number(word)
  const { min = -Infinity, above = -Infinity, max = Infinity } = option
  const kind = option.type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value)
  if (!kind || value < min || value <= above || value > max) {
    const noun = option.type === 'integer' ? 'a whole number' : 'a number'
    throw new InvalidOptionError(`${name} ${JSON.stringify(word)} is not possible; use ${[noun, ...limits(option)].join(' ')}`)
  }
  return value
}

function limits ({ min, above, max }: NumberOption): string[] {
  return [
    ...(min === undefined ? [] : [`from ${min}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(max === undefined ? [] : [`to ${max}`])
  ]
}
