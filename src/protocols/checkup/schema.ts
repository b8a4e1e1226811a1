import { z } from 'zod'
import { countSchema } from '../message.js'
import { MAX_PORTS, MAX_REASON } from './constants.js'

const portSchema = z.number().int().min(1).max(65_535)

export const requestSchema = z.strictObject({
  /** TCP ports at which the asker listens. */
  ports: z.array(portSchema).max(MAX_PORTS)
})

export const answerSchema = z.strictObject({
  /** The answerer's clock, in milliseconds since 1970. */
  time: countSchema,
  /** The IP address that the asker comes from; null where a relay is between them. */
  from: z.string().max(64).nullable(),
  /** Of each port there whether the asker was reached at it: null, or what went wrong. */
  dialled: z.array(z.strictObject({ port: portSchema, error: z.string().max(MAX_REASON).nullable() })).max(MAX_PORTS)
})

/** What a peer says of the one that asks. */
export type Checkup = z.infer<typeof answerSchema>
