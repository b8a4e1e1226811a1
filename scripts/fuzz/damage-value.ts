import { below, oneOf, randomBytes } from './random.js'

/** Stands for lists within lists, more than a stack has room for, until the message is written. */
export const DEEP = '@deep@'

/** Stands for a long list of nothing. */
export const WIDE = '@wide@'

type Container = Record<string, unknown> | unknown[]

/** Where a value stands. */
interface Place {
  readonly holder: Container
  readonly key: string
}

/** Values that stand where others should, of every type, and on the edges of each. */
const STRANGERS: readonly unknown[] = [
  null, true, false, 0, -0, -1, 1, 0.5, -1e300, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 2 ** 53 - 1,
  2n ** 64n - 1n, -(2n ** 63n), '', ' ', '0', 'I32', 'I64', 'F16', 'BF16', 'F64', 'BOOL', '__proto__', 'constructor', '\u0000', '\ud800', 'é'.repeat(200), 'x'.repeat(5_000),
  [], {}, [[]], [null], { length: 3 }, new Uint8Array(0), new Uint8Array(31), new Uint8Array(64), new Uint8Array(4_096), DEEP, WIDE
]

const KEYS = ['__proto__', 'constructor', 'toString', 'length', 'surprise', '', 'x'.repeat(300)]

const changes: ReadonlyArray<(place: Place, random: () => number, other: unknown) => void> = [
  (place, random) => set(place, oneOf(STRANGERS, random)),
  (place, random) => set(place, alike(get(place), random)),
  (place, random) => set(place, alike(get(place), random)),
  ({ holder, key }) => { if (Array.isArray(holder)) holder.splice(Number(key), 1); else Reflect.deleteProperty(holder, key) },
  ({ holder }, random) => { if (Array.isArray(holder)) holder.push(structuredClone(oneOf(STRANGERS, random))); else define(holder, oneOf(KEYS, random), oneOf(STRANGERS, random)) },
  ({ holder, key }, random) => { if (Array.isArray(holder)) for (let i = below(300, random); i >= 0; i--) holder.push(structuredClone(holder[Number(key)])) },
  ({ holder, key }, random) => exchange(holder, key, oneOf(Object.keys(holder), random)),
  (place, random) => set(place, get(oneOf([...places(get(place))].concat(place), random))),
  (place, random, other) => {
    const twin = [...places(other)].filter(({ key }) => key === place.key) // a hash, a signature or a number of another message
    if (twin.length > 0) set(place, get(oneOf(twin, random)))
  }
]

/** Changes a value somewhere within, in place. @param other a value of the same kind, of which parts are taken */
export function damageValue (value: unknown, other: unknown, random: () => number): void {
  for (let times = 1 + below(3, random); times > 0; times--) {
    const all = [...places(value)]
    if (all.length === 0) return
    oneOf(changes, random)(oneOf(all, random), random, other)
  }
}

/** All places within a value. */
function * places (value: unknown): Generator<Place> {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return
  const holder = value as Container
  for (const key of Object.keys(holder).slice(0, 200)) {
    yield { holder, key }
    yield * places(get({ holder, key }))
  }
}

/** Another value of the same type. */
function alike (value: unknown, random: () => number): unknown {
  if (typeof value === 'number') return oneOf([-value, value + 1, value - 1, value * 2, value / 2, value * 2 ** 20, value + 0.5, 0], random)
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') {
    const at = below(value.length, random)
    return oneOf([value.slice(0, at), value + value, value.toUpperCase(), `${value}\n`, value.slice(0, at) + oneOf(['0', 'f', 'é', '\u0000', '.'], random) + value.slice(at + 1)], random)
  }
  if (value instanceof Uint8Array) {
    const flipped = Uint8Array.from(value)
    if (flipped.length > 0) flipped[below(flipped.length, random)] ^= 1 << below(8, random)
    return oneOf([flipped, value.subarray(1), Uint8Array.of(...value, 0), randomBytes(value.length, random)], random)
  }
  if (Array.isArray(value)) return oneOf([value.toReversed(), value.slice(1), [...value as unknown[], ...value as unknown[]], Object.assign({}, value)], random)
  return value
}

function get ({ holder, key }: Place): unknown {
  return (holder as Record<string, unknown>)[key]
}

function set ({ holder, key }: Place, value: unknown): void {
  define(holder, key, value)
}

/** A key of its own, be it named as it may, with a copy of the value: nothing is within itself, or in two messages. */
function define (holder: Container, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value: structuredClone(value), configurable: true, enumerable: true, writable: true })
}

function exchange (holder: Container, one: string, other: string): void {
  const [first, second] = [get({ holder, key: one }), get({ holder, key: other })]
  define(holder, one, second)
  define(holder, other, first)
}
