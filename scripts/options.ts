/** Options of the scripts, which are declared and checked as those of the command line are. */
import { parseArgs } from 'node:util'
import { flag, kebab, type Options, outline } from '../src/cli/options.js'
import { InvalidOptionError } from '../src/errors.js'

/** What was typed, by name in camel case. @throws {InvalidOptionError} */
export function typedOptions (args: readonly string[], options: Options): Record<string, unknown> {
  const typeOf = ({ type }: Options[string]): 'boolean' | 'string' => type === 'boolean' ? 'boolean' : 'string'
  try {
    const { values } = parseArgs({
      args: [...args],
      options: Object.fromEntries(Object.entries(options).map(([name, option]) => [kebab(name), { type: typeOf(option), multiple: typeOf(option) === 'string' }]))
    })
    return Object.fromEntries(Object.keys(options).map(name => [name, (values as Record<string, unknown>)[kebab(name)]]))
  } catch (cause) {
    throw new InvalidOptionError((cause as Error).message, { cause })
  }
}

/** A line of help for each. @param width of their names */
export function optionLines (options: Options, width = 0): string[] {
  return Object.entries(options).map(([name, option]) => {
    const standard = 'default' in option ? ` (default: ${String(option.default)})` : ''
    return `${flag(name).padEnd(width)}  ${option.describe}${outline(option)}${standard}`
  })
}
