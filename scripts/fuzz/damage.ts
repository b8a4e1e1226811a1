import { decode, encode } from 'cborg'
import { damageBytes } from './damage-bytes.js'
import { DEEP, damageValue, WIDE } from './damage-value.js'
import type { Form, Sample } from './decoder.js'
import { below, oneOf } from './random.js'

/** Lists within lists, and lists side by side: more than a stack has room for, and as many as make a reader slow. */
const DEPTH = 30_000
const WIDTH = 30_000

type Damage = (bytes: Uint8Array, other: Uint8Array, random: () => number) => Uint8Array

const DAMAGES: Readonly<Record<Form, readonly Damage[]>> = {
  cbor: [damageBytes, damagedMap, damagedMap, withKeyTwice],
  safetensors: [damageBytes, damagedHeader, damagedHeader, damagedLength, damagedFloats]
}

/** A damaged message. @param other another valid one, of the same kind, of which parts are taken */
export function damaged ({ form, bytes }: Sample, other: Sample, random: () => number): Uint8Array {
  return oneOf(DAMAGES[form], random)(bytes, other.bytes, random)
}

function damagedMap (bytes: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  const value: unknown = decode(bytes)
  damageValue(value, decode(other), random)
  return replaced(replaced(encode(value), encode(DEEP), new Uint8Array(DEPTH).fill(0x81)), encode(WIDE), Buffer.concat([Uint8Array.of(0x99, WIDTH >> 8, WIDTH & 0xff), new Uint8Array(WIDTH).fill(0x80)]))
}

/** A map of fewer than 23 keys with one of them again, with another value. */
function withKeyTwice (bytes: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  const value = decode(bytes) as Record<string, unknown>
  const key = oneOf(Object.keys(value), random)
  const twice = oneOf([value, decode(other) as Record<string, unknown>], random)[key] ?? null
  return Buffer.concat([Uint8Array.of(bytes[0] + 1), bytes.subarray(1), encode(key), encode(twice)])
}

function damagedHeader (bytes: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  const { header, data } = partsOf(bytes)
  const value: unknown = JSON.parse(header)
  damageValue(value, JSON.parse(partsOf(other).header), random)
  const text = JSON.stringify(value, (_, each: unknown) => typeof each === 'bigint' ? `${each}` : each)
    .replaceAll(`"${DEEP}"`, '['.repeat(DEPTH) + ']'.repeat(DEPTH))
    .replaceAll(`"${WIDE}"`, `[${'0,'.repeat(WIDTH)}0]`)
  return withHeader(random() < 0.1 ? text.replace('{', `{"__metadata__":{},${text.slice(1, -1)},`) : text, data)
}

/** The header says that it is of another length than it is. */
function damagedLength (bytes: Uint8Array, _: Uint8Array, random: () => number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  const length = oneOf([0n, 1n, 2n, BigInt(below(200, random)), BigInt(bytes.length), BigInt(bytes.length - 8), 100_000_000n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n], random)
  new DataView(changed.buffer).setBigUint64(0, length, true)
  return changed
}

/** Four bytes of the values are a float that is none, or that is as large as floats are. */
function damagedFloats (bytes: Uint8Array, _: Uint8Array, random: () => number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  const { data } = partsOf(changed)
  if (data.byteLength < 4) return changed
  const bits = oneOf([0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xffffffff, 0x80000000, 0xbf800000], random)
  new DataView(changed.buffer).setUint32(data.byteOffset + 4 * below(Math.floor(data.byteLength / 4), random), bits, true)
  return changed
}

function partsOf (bytes: Uint8Array): { header: string, data: Uint8Array } {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  return { header: new TextDecoder().decode(bytes.subarray(8, 8 + length)), data: bytes.subarray(8 + length) }
}

function withHeader (text: string, data: Uint8Array): Uint8Array {
  const header = new TextEncoder().encode(text)
  const start = new Uint8Array(8 + Math.ceil(header.byteLength / 8) * 8).fill(0x20)
  new DataView(start.buffer).setBigUint64(0, BigInt(start.byteLength - 8), true)
  start.set(header, 8)
  return Uint8Array.from(Buffer.concat([start, data]))
}

/** All that stands for something else, in its place. */
function replaced (bytes: Uint8Array, what: Uint8Array, by: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = []
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let from = 0
  for (let at = buffer.indexOf(what); at !== -1; at = buffer.indexOf(what, from)) {
    pieces.push(buffer.subarray(from, at), by)
    from = at + what.byteLength
  }
  return from === 0 ? bytes : Uint8Array.from(Buffer.concat([...pieces, buffer.subarray(from)]))
}
