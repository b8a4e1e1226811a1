import { createHash } from 'node:crypto'

/** Where content falls, in [0, 1), by its sha-256: the same content always on the same side. */
export function placeOf (content: string): number {
  return placeOfHash(createHash('sha256').update(content).digest())
}

/** The same of a hash that is known. */
export function placeOfHash (hash: Buffer): number {
  return hash.readUInt32BE() / 2 ** 32
}

/** What lies below it is held out: the share, moved just so far that neither side is empty where there are two different contents. */
export function limitFor (contents: ReadonlyArray<{ readonly place: number }>, share: number): number {
  const places = [...new Set(contents.map(({ place }) => place))].sort((a, b) => a - b)
  if (share === 0 || places.length < 2) return 0
  return Math.min(Math.max(share, places[1]), places[places.length - 1])
}
