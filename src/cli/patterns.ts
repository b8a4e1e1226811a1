import { InvalidOptionError } from '../errors.js'

/**
 * `c_attn=16` as a number by pattern. Whether the number is possible is for whoever uses it to say.
 *
 * @throws {InvalidOptionError} if an item is anything else
 */
export function patternsOf (option: string, items: readonly string[]): Record<string, number> {
  return Object.fromEntries(items.map(item => {
    const sign = item.lastIndexOf('=')
    const value = item.slice(sign + 1).trim()
    if (sign < 1 || value === '' || !Number.isFinite(Number(value))) throw new InvalidOptionError(`${option} ${item} is not possible; use a module's name and a number, such as c_attn=16`)
    return [item.slice(0, sign).trim(), Number(value)]
  }))
}
