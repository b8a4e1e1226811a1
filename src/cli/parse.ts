import yargs, { type Argv } from 'yargs'
import { InvalidOptionError } from '../errors.js'
import { VERSION } from '../version.js'
import type { Command } from './command.js'
import { EXIT_CODES_HELP } from './exit.js'
import { checkOptions, flag, kebab, type Options, outline, type Values } from './options.js'
import { suggest } from './suggest.js'

/** Options of every command. */
const COMMON = {
  json: { type: 'boolean', describe: 'one JSON report on standard output, and nothing else there' },
  verbose: { type: 'boolean', describe: 'errors with their stack' }
} as const satisfies Options

/** Columns of the help where the terminal is wider, or there is none. */
const MAX_COLUMNS = 110

/** What shall be done: show a text, or run a command. */
export type Parsed =
  | { readonly kind: 'show', readonly text: string }
  | { readonly kind: 'run', readonly command: Command, readonly options: Values<Options> }

/**
 * What the words after `colanet` ask for.
 *
 * @throws {InvalidOptionError} if they ask for nothing that there is
 */
export async function parse (args: readonly string[], commands: readonly Command[]): Promise<Parsed> {
  let chosen: { command: Command, typed: Typed } | undefined
  let words: readonly string[] = []
  const parser = program()
  addOptions(parser, COMMON)
  // Stands in where no command is named, or none that there is.
  parser.command({ command: '$0', describe: false, handler: ({ _ }) => { words = _.map(String) } })
  for (const command of commands) {
    parser.command({
      command: command.command,
      describe: command.describe,
      builder: argv => describeCommand(argv, command),
      handler: typed => { chosen = { command, typed } }
    })
  }
  const help = await output(parser, args)
  if (help !== '') return { kind: 'show', text: `${help}\n` }
  if (chosen === undefined) throw noCommand(words[0], commands)
  const { command, typed } = chosen
  refuseUnknown(command, typed)
  return { kind: 'run', command, options: checkOptions(command.options, typed) }
}

type Typed = Readonly<Record<string, unknown>> & { readonly _: ReadonlyArray<string | number> }

function program (): Argv {
  return yargs()
    .scriptName('colanet')
    .usage('$0 <command> [options]\n\nFine-tuning among peers: hosts lend a frozen base model\'s forward and backward pass,\ntrainers keep their data and adapters.')
    .epilogue(`colanet <command> --help shows the command's options and an example.\n\n${EXIT_CODES_HELP}`)
    .example('$0 simulate', 'a host and three trainers on this machine, on text that is already here')
    .locale('en')
    .exitProcess(false)
    .fail(false)
    .version(VERSION)
    .wrap(Math.min(MAX_COLUMNS, process.stdout.columns || MAX_COLUMNS))
    // Numbers stay as they were typed, so that they can be refused as they were typed.
    .parserConfiguration({ 'parse-numbers': false, 'dot-notation': false, 'strip-dashed': true })
}

function describeCommand (argv: Argv, { command, describe, options, examples }: Command): Argv {
  argv.usage(`$0 ${command} [options]\n\n${describe}`).epilogue(EXIT_CODES_HELP)
  addOptions(argv, options)
  for (const [call, effect] of examples) argv.example(`$0 ${call}`, effect)
  return argv
}

function addOptions (argv: Argv, options: Options): void {
  for (const [name, option] of Object.entries(options)) {
    argv.option(kebab(name), {
      describe: `${option.describe}${outline(option)}`,
      ...(option.default === undefined ? {} : { defaultDescription: String(option.default) }),
      ...(option.type === 'boolean' ? { boolean: true } : { requiresArg: true }),
      ...(option.type === 'files' ? { array: true, string: true } : {})
    })
  }
}

async function output (parser: Argv, args: readonly string[]): Promise<string> {
  let text = ''
  try {
    await parser.parseAsync(args, {}, (_error, _argv, shown) => { text = shown })
  } catch (cause) {
    throw new InvalidOptionError((cause as Error).message, { cause })
  }
  return text
}

/** Its first word: what follows is a place for an option without its flag. */
function nameOf ({ command }: Pick<Command, 'command'>): string {
  return command.split(' ')[0]
}

function noCommand (word: string | undefined, commands: readonly Command[]): InvalidOptionError {
  const names = commands.map(nameOf)
  const known = `use one of ${names.join(', ')}, or --help`
  if (word === undefined) return new InvalidOptionError(`a command is missing; ${known}`)
  return new InvalidOptionError(`there is no command ${word}${meant(suggest(word, names))}; ${known}`)
}

function refuseUnknown ({ options, ...named }: Command, typed: Typed): void {
  const command = nameOf(named)
  const names = [...Object.keys(options), ...Object.keys(COMMON), 'help', 'version']
  const unknown = Object.keys(typed).find(name => !names.includes(name) && name !== '_' && name !== '$0')
  if (unknown !== undefined) {
    const near = suggest(kebab(unknown), names.map(kebab))
    throw new InvalidOptionError(`${command} has no option ${flag(unknown)}${meant(near && `--${near}`)}; see colanet ${command} --help`)
  }
  if (typed._.length > 1) {
    throw new InvalidOptionError(`${command} takes options only, not ${typed._[1]}; see colanet ${command} --help`)
  }
}

function meant (near: string | undefined): string {
  return near === undefined ? '' : ` (did you mean ${near}?)`
}
