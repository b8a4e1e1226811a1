import { z } from 'zod'
import { InvalidBatchError } from '../../errors.js'
import type { Job } from '../../job.js'
import { batchOf } from '../../tensor/batch.js'
import { decodeSafetensors, encodeSafetensors } from '../../tensor/safetensors.js'
import { AUXILIARY_KINDS, type Batch, MERGES, MODES, WIRE_FORMS } from '../../types.js'
import { recordSchema } from '../contribution/index.js'
import { bytesSchema, countSchema, hashSchema, siteNameSchema, siteSchema, sizeSchema } from '../message.js'
import { MAX_REFUSAL, MAX_TOGETHER } from './constants.js'

const rankSchema = sizeSchema.max(65_536)

/** More than models have. */
const MAX_SITES = 4096

/** A number for some of the sites. */
function bySite (schema: z.ZodType<number>): z.ZodType<Record<string, number>> {
  return z.record(siteNameSchema, schema).refine(numbers => Object.keys(numbers).length <= MAX_SITES, 'of too many sites')
}

const siteNamesSchema = z.array(siteNameSchema).max(MAX_SITES)
  .refine(names => names.every((name, i) => i === 0 || names[i - 1] < name), 'not sorted, or not unique')

const jobSchema: z.ZodType<Job> = z.strictObject({
  name: z.string().min(1).max(200),
  model: hashSchema,
  sites: siteNamesSchema.min(1),
  auxiliary: z.strictObject({
    rank: rankSchema,
    alpha: z.number().positive(),
    ranks: bySite(rankSchema).exactOptional(),
    alphas: bySite(z.number().positive()).exactOptional(),
    rankStabilised: z.boolean().exactOptional(),
    dropout: z.number().nonnegative().lt(1).exactOptional()
  }),
  kinds: z.array(z.enum(AUXILIARY_KINDS)).min(1).max(AUXILIARY_KINDS.length)
    .refine(kinds => new Set(kinds).size === kinds.length, 'not unique'),
  mode: z.enum(MODES),
  merge: z.enum(MERGES),
  interval: sizeSchema.max(65_536),
  seed: countSchema.max(2 ** 32 - 1),
  quorum: z.number().positive().lt(1).exactOptional()
})

const stepSchema = z.strictObject({
  /** Id of the job. */
  job: hashSchema,
  /** The trainer's number of the step, so that it knows which announcements answer it. */
  step: countSchema,
  /** The first step of which the trainer wants adaptation data still; without it, no other step's than this one's. */
  oldest: countSchema.exactOptional(),
  /** `train` has adaptation data announced, `evaluate` has not. */
  purpose: z.enum(['train', 'evaluate']),
  /** Whether auxiliaries are applied; without, the base model alone is run. */
  adapted: z.boolean(),
  wire: z.enum(WIRE_FORMS),
  /** The job's sites whose adaptation data are wanted, in its order: those that the trainer fits. */
  sites: siteNamesSchema,
  /** The trainer's auxiliary for which the batch is made; null before its first. */
  contribution: recordSchema.nullable(),
  /** Which of the trainer's steps, of other jobs, are to be one pass with it: those of the same id, so many in all. Not there where it goes by itself. */
  together: z.strictObject({ id: z.string().min(1).max(100), size: sizeSchema.max(MAX_TOGETHER) }).exactOptional(),
  /** Its tensors, as safetensors. */
  batch: bytesSchema
})

type WireStep = z.infer<typeof stepSchema>

export interface StepRequest extends Omit<WireStep, 'batch'> {
  readonly batch: Batch
}

export const requestSchema = z.union([
  z.strictObject({ type: z.literal('open'), job: jobSchema }),
  z.strictObject({ type: z.literal('step'), step: stepSchema })
])

const openedSchema = z.strictObject({
  /** Id of the model that the host serves. */
  model: hashSchema,
  /** The sites of the job. */
  sites: z.array(siteSchema).max(MAX_SITES),
  /** Norms of the rows of their weights, as safetensors, where the job's auxiliaries start from them. */
  norms: bytesSchema.exactOptional()
})

export type OpenReply = z.infer<typeof openedSchema>

const replySchema = z.strictObject({
  /** Mean over the tokens that count. */
  loss: z.number(),
  /** Tokens that count in the loss. */
  tokens: countSchema,
  /** Names the state of the auxiliaries that was applied; null for the base model alone. */
  version: hashSchema.nullable(),
  /** The records that the state holds. */
  members: z.array(recordSchema).max(1024),
  /** In milliseconds. */
  timings: z.strictObject({ queued: z.number().nonnegative(), pass: z.number().nonnegative() }),
  /** Steps that were one pass with it, itself included. */
  shared: sizeSchema
})

export type StepReply = z.infer<typeof replySchema>

const errorSchema = z.strictObject({ name: z.string().max(100), message: z.string().max(MAX_REFUSAL) })

export const openAnswerSchema = z.union([z.strictObject({ opened: openedSchema }), z.strictObject({ error: errorSchema })])
export const stepAnswerSchema = z.union([z.strictObject({ reply: replySchema }), z.strictObject({ error: errorSchema })])

export function encodeBatch ({ tensors }: Batch): Uint8Array {
  return encodeSafetensors(tensors)
}

/** @throws {InvalidBatchError} if the bytes are not tensors */
export function decodeBatch (bytes: Uint8Array): Batch {
  try {
    return batchOf(decodeSafetensors(Uint8Array.from(bytes)).tensors) // a copy, aligned
  } catch (cause) {
    throw new InvalidBatchError(`the batch cannot be read: ${(cause as Error).message}`, { cause })
  }
}
