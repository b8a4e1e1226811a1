import { z } from 'zod'
import { WIRE_FORMS } from '../../types.js'
import { recordSchema } from '../contribution/index.js'
import { countSchema, hashSchema, manifestSchema, peerSchema, siteNameSchema } from '../message.js'

const adaptationSchema = z.strictObject({
  type: z.literal('adaptation'),
  job: hashSchema,
  /** The trainer's number of the step. */
  step: countSchema,
  /** For whom the data are. */
  trainer: peerSchema,
  /** The state of the auxiliaries that was applied; null for none. */
  version: hashSchema.nullable(),
  /** Names this part of the step's data. */
  group: z.string().min(1).max(256),
  /** The sites that are in it. */
  sites: z.array(siteNameSchema).min(1).max(4096),
  wire: z.enum(WIRE_FORMS),
  /** The data, which are pulled as a blob. */
  manifest: manifestSchema
})

const contributionSchema = z.strictObject({ type: z.literal('contribution'), record: recordSchema })

export const jobMessageSchema = z.union([adaptationSchema, contributionSchema])

/** A host's announcement of a part of a step's adaptation data. */
export type AdaptationMessage = z.infer<typeof adaptationSchema>

/** A trainer's announcement of its contribution. */
export type ContributionMessage = z.infer<typeof contributionSchema>

export type JobMessage = z.infer<typeof jobMessageSchema>
