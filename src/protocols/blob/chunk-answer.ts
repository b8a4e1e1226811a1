import type { Uint8ArrayList } from 'uint8arraylist'
import { ProtocolError } from '../../errors.js'
import { type Manifest, verifyChunk } from '../../tensor/chunks.js'
import { decodeMessage } from '../message.js'
import { copyChunk } from './chunk-frame.js'
import { answerSchema } from './schema.js'

/**
 * Puts the chunk that a holder answers with to its place, where something wrong may be left.
 *
 * @param place as long as the chunk
 * @throws {ProtocolError} if the holder refuses, or answers something else
 * @throws {InvalidTensorError} if it is not the chunk that the manifest names
 */
export function takeChunk (frame: Uint8ArrayList, manifest: Manifest, index: number, place: Uint8Array): void {
  if (copyChunk(frame, place)) {
    verifyChunk(manifest, index, place)
    return
  }
  const answer = decodeMessage(answerSchema, frame.subarray())
  if ('refused' in answer) throw new ProtocolError(`it refused: ${answer.refused}`)
  verifyChunk(manifest, index, answer.chunk)
  place.set(answer.chunk) // CBOR has more than one way to say it
}
