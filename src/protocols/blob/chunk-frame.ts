import { encode } from 'cborg'
import { Uint8ArrayList } from 'uint8arraylist'
import { CHUNK_BYTES } from '../../tensor/chunks.js'

const FULL = headOf(CHUNK_BYTES)

/** `encodeMessage({ chunk })` without a copy of the chunk. */
export function frameOfChunk (chunk: Uint8Array): Uint8ArrayList {
  return new Uint8ArrayList(headFor(chunk.byteLength), chunk)
}

/**
 * Copies the chunk that a frame holds to where it belongs.
 *
 * @returns false, and nothing is copied, if the frame is anything else than a chunk of this length
 */
export function copyChunk (frame: Uint8ArrayList, to: Uint8Array): boolean {
  const head = headFor(to.byteLength)
  if (frame.byteLength !== head.byteLength + to.byteLength || !frame.slice(0, head.byteLength).every((byte, i) => byte === head[i])) return false
  let end = 0
  for (const piece of frame.sublist(head.byteLength)) {
    to.set(piece, end)
    end += piece.byteLength
  }
  return true
}

function headFor (length: number): Uint8Array {
  return length === CHUNK_BYTES ? FULL : headOf(length)
}

/** What comes before the bytes in the CBOR of `{ chunk: bytes }`, where they are last. */
function headOf (length: number): Uint8Array {
  const whole = encode({ chunk: new Uint8Array(length) })
  return whole.slice(0, whole.byteLength - length)
}
