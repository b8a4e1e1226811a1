import { below, oneOf, randomBytes } from './random.js'

/** Heads of CBOR (RFC 8949, section 3) that say that more follows than there is, and the beginning of lists without an end. */
const HEADS: readonly Uint8Array[] = [
  ...[0x1b, 0x3b, 0x5b, 0x7b, 0x9b, 0xbb, 0xdb].flatMap(head => [Uint8Array.of(head, 0, 0, 0, 1, 0, 0, 0, 0), Uint8Array.of(head, ...new Uint8Array(8).fill(0xff))]),
  ...[0x5a, 0x7a, 0x9a, 0xba].map(head => Uint8Array.of(head, 0x7f, 0xff, 0xff, 0xff)),
  ...[0x5f, 0x7f, 0x9f, 0xbf, 0xff, 0xf7, 0xf8, 0xc1, 0xd9].map(head => Uint8Array.of(head)),
  Uint8Array.of(0xf9, 0x7e, 0x00), Uint8Array.of(0xf9, 0x7c, 0x00), Uint8Array.of(0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0)
]

const changes: ReadonlyArray<(bytes: Uint8Array, random: () => number, other: Uint8Array) => Uint8Array> = [
  flipped,
  flipped,
  (bytes, random) => bytes.subarray(0, below(bytes.length + 1, random)),
  (bytes, random) => bytes.subarray(below(bytes.length + 1, random)),
  (bytes, random) => Buffer.concat([bytes, randomBytes(1 + below(64, random), random)]),
  (bytes, random) => around(bytes, random, () => randomBytes(1 + below(16, random), random)),
  (bytes, random) => around(bytes, random, () => oneOf(HEADS, random)),
  (bytes, random) => around(bytes, random, (begin, end) => bytes.subarray(begin, end)),
  (bytes, random) => around(bytes, random, () => new Uint8Array(0)),
  (bytes, random, other) => Buffer.concat([bytes.subarray(0, below(bytes.length + 1, random)), other.subarray(below(other.length + 1, random))])
]

/** Bytes that were damaged without looking at what they say. @param other of the same kind, from which some are taken */
export function damageBytes (bytes: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  let damaged = bytes
  for (let times = 1 + below(3, random); times > 0; times--) damaged = oneOf(changes, random)(damaged, random, other)
  return Uint8Array.from(damaged)
}

/** One bit of a few bytes, or such a byte whole; near the beginning as often as anywhere, as what follows depends on it. */
function flipped (bytes: Uint8Array, random: () => number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  if (changed.length === 0) return changed
  for (let times = 1 + below(4, random); times > 0; times--) {
    const at = below(random() < 0.5 ? Math.min(64, changed.length) : changed.length, random)
    changed[at] = random() < 0.5 ? changed[at] ^ (1 << below(8, random)) : oneOf([0x00, 0x7f, 0x80, 0xff], random)
  }
  return changed
}

/** Puts something where a few bytes were, or between them. */
function around (bytes: Uint8Array, random: () => number, put: (begin: number, end: number) => Uint8Array): Uint8Array {
  const begin = below(bytes.length + 1, random)
  const end = Math.min(bytes.length, begin + below(40, random))
  return Buffer.concat([bytes.subarray(0, begin), put(begin, end), bytes.subarray(random() < 0.5 ? begin : end)])
}
