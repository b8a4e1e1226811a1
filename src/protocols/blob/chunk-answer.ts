import type { Uint8ArrayList } from 'uint8arraylist'
import { InvalidTensorError, ProtocolError } from '../../errors.js'
import { decodeMessage } from '../message.js'
import { copyChunk } from './chunk-frame.js'
import { answerSchema } from './schema.js'

/**
 * Puts the chunk that a holder answers with to its place, where something wrong may be left: it is not verified yet.
 *
 * @param place as long as the chunk
 * @throws {ProtocolError} if the holder refuses, or answers something else
 * @throws {InvalidTensorError} if it is of another length
 */
export function takeChunk (frame: Uint8ArrayList, place: Uint8Array): void {
  if (copyChunk(frame, place)) return
  const answer = decodeMessage(answerSchema, frame.subarray())
  if ('refused' in answer) throw new ProtocolError(`it refused: ${answer.refused}`)
  const { chunk } = answer
  if (chunk.byteLength !== place.byteLength) throw new InvalidTensorError(`a chunk of ${chunk.byteLength} bytes, it must have ${place.byteLength}`)
  place.set(chunk) // CBOR has more than one way to say it
}
