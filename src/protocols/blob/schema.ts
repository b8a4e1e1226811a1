import { z } from 'zod'
import { bytesSchema, countSchema, hashSchema } from '../message.js'
import { CHUNKS_AHEAD } from './constants.js'

/** One after the other on a stream; each is answered with its chunks, in their order. */
export const requestSchema = z.strictObject({
  id: hashSchema,
  /** The job for which the asker wants it: several may have the same bytes. */
  job: hashSchema.exactOptional(),
  chunks: z.array(countSchema).min(1).max(CHUNKS_AHEAD)
})

export const answerSchema = z.union([
  z.strictObject({ chunk: bytesSchema }),
  /** Why not. It is the last answer of the stream. */
  z.strictObject({ refused: z.string().max(200) })
])
