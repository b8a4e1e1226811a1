import { suggest } from '../src/cli/suggest.js'
import { InvalidOptionError } from '../src/errors.js'

/** @throws {InvalidOptionError} naming those that there are */
export function partNamed<P extends { readonly name: string }> (parts: readonly P[], name: string): P {
  const part = parts.find(part => part.name === name)
  if (part !== undefined) return part
  const names = parts.map(({ name }) => name)
  const near = suggest(name, names)
  throw new InvalidOptionError(`there is no part ${name}${near === undefined ? '' : ` (did you mean ${near}?)`}; use one of ${names.join(', ')}`)
}
