import { z } from 'zod'
import { TASKS } from '../../types.js'
import { countSchema, hashSchema, manifestSchema, peerSchema, siteNameSchema, siteSchema, sizeSchema } from '../message.js'

export const advertSchema = z.strictObject({
  peer: peerSchema,
  /** Id of the base model. */
  model: hashSchema,
  /** Its name, for people. */
  name: z.string().min(1).max(200),
  task: z.enum(TASKS),
  sites: z.array(siteSchema).min(1).max(4096),
  /** The site that gives the output, see `selectSites`. */
  output: siteNameSchema,
  /** What PEFT adapts in this architecture, see `selectSites`. */
  defaultSites: z.array(siteNameSchema).min(1).max(4096),
  /** Whether its linear modules store weights as `[in, out]`, PEFT's `fan_in_fan_out`. */
  fanInFanOut: z.boolean(),
  /** The longest row, in tokens. */
  positions: countSchema,
  vocabSize: countSchema,
  /** Kinds of tokens that a row may have. */
  tokenTypes: sizeSchema.exactOptional(),
  /** Names of the classes that it tells apart. */
  labels: z.array(z.string().max(200)).max(10_000),
  /** What it looks at where a row is no text, in pixels. */
  image: z.strictObject({ channels: sizeSchema, height: sizeSchema, width: sizeSchema }).exactOptional(),
  limits: z.strictObject({
    /** Rows in a batch. */
    rows: sizeSchema,
    /** Tokens in a batch, padding included. */
    tokens: sizeSchema,
    rank: sizeSchema
  }),
  /** Measured, forward and backward; 0 before the first step. */
  tokensPerSecond: z.number().nonnegative(),
  /** What computes. */
  engine: z.string().max(200),
  /** When the lease ends, in milliseconds since 1970. */
  expires: countSchema,
  /** Files of the model's folder that a trainer needs, by name; they are pulled as blobs. */
  files: z.record(z.string().regex(/^[\w-][\w.-]*$/).max(100), manifestSchema)
})

/** What a peer offers; null for nothing. */
export const answerSchema = z.strictObject({ advert: advertSchema.nullable() })

/** A host's lease on being found. */
export type Advert = z.infer<typeof advertSchema>

/** What a host says of itself; peer and lease are added when it is sent. */
export type Offer = Omit<Advert, 'peer' | 'expires'>
