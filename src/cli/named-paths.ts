import { InvalidOptionError } from '../errors.js'

/**
 * `news=a.txt` as paths by name, those of one name together.
 *
 * @throws {InvalidOptionError} if an item is anything else
 */
export function namedPaths (option: string, items: readonly string[]): Array<[name: string, paths: string[]]> {
  const named = new Map<string, string[]>()
  for (const item of items) {
    const [name, ...rest] = item.split('=')
    const path = rest.join('=')
    if (name === '' || path === '') throw new InvalidOptionError(`${option} ${item} is not possible; use a name and a path, such as news=news.txt`)
    named.set(name, [...named.get(name) ?? [], path])
  }
  return [...named]
}
