import { decode, type DecodeOptions, encode } from 'cborg'
import { z } from 'zod'
import { ProtocolError } from '../errors.js'
import { BoundedTokens } from './bounded-tokens.js'
import { outputSize } from '../places.js'
import type { Site } from '../types.js'
import { checkManifest, CHUNK_BYTES, type Manifest, MAX_BLOB_BYTES, MAX_CHUNKS } from '../tensor/chunks.js'

/** A message as CBOR (RFC 8949), with the keys of maps in their canonical order. */
export function encodeMessage (message: object): Uint8Array {
  return encode(message)
}

/** Lists say how long they are, no key stands twice, and numbers are finite: what one reader takes from a message, all do. */
const OPTIONS: DecodeOptions = { allowIndefinite: false, rejectDuplicateMapKeys: true, allowNaN: false, allowInfinity: false }

/** @throws {ProtocolError} if the bytes are not CBOR, of too many values, or not such a message */
export function decodeMessage<T> (schema: z.ZodType<T>, bytes: Uint8Array): T {
  let decoded: unknown
  try {
    decoded = decode(bytes, { ...OPTIONS, tokenizer: new BoundedTokens(bytes, OPTIONS) })
  } catch (cause) {
    if (cause instanceof ProtocolError) throw cause
    throw new ProtocolError(`${bytes.byteLength} bytes that are not CBOR, or with a number that is not finite`, { cause })
  }
  const parsed = schema.safeParse(decoded)
  if (!parsed.success) throw new ProtocolError(`a message that does not follow the protocol: ${z.prettifyError(parsed.error)}`, { cause: parsed.error })
  return parsed.data
}

/**
 * Whether what `decodeMessage` refuses is a message of no version: it is not CBOR, has a number that is not finite, or contradicts
 * itself, as a manifest does whose id is not the hash of its chunks. Another version may have further keys and other values.
 */
export function isMalformed ({ cause }: Error): boolean {
  return !(cause instanceof z.ZodError) || cause.issues.every(isContradiction)
}

/** Of a union it is enough that the message would be one of its kinds but for that. */
function isContradiction (issue: z.core.$ZodIssue): boolean {
  if (issue.code === 'invalid_union') return issue.errors.some(issues => issues.length > 0 && issues.every(isContradiction))
  return issue.code === 'custom'
}

/** Sha-256 in hex. */
export const hashSchema = z.string().regex(/^[0-9a-f]{64}$/)

/** A peer id as text. */
export const peerSchema = z.string().min(10).max(128)

export const countSchema = z.number().int().nonnegative()

export const sizeSchema = z.number().int().positive()

export const bytesSchema: z.ZodType<Uint8Array> = z.instanceof(Uint8Array)

/** Full Hugging Face module names are shorter. */
export const siteNameSchema = z.string().min(1).max(256)

/** A manifest that does not contradict itself. */
export const manifestSchema: z.ZodType<Manifest> = z.strictObject({
  id: hashSchema,
  size: countSchema.max(MAX_BLOB_BYTES),
  chunkSize: sizeSchema.max(CHUNK_BYTES),
  chunks: z.array(bytesSchema.refine(hash => hash.byteLength === 32, 'not a sha-256')).max(MAX_CHUNKS)
}).superRefine((manifest, context) => {
  try {
    checkManifest(manifest)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
  }
})

/** The largest side of an image, in pixels, and the most places in a row: more than models have. */
const MAX_SIDE = 16_384
const MAX_PLACES = 1 << 20
const sideSchema = sizeSchema.max(MAX_SIDE)

/** More than the largest vocabularies. */
const featuresSchema = sizeSchema.max(1 << 24)

export const siteSchema: z.ZodType<Site> = z.strictObject({
  name: siteNameSchema,
  inFeatures: featuresSchema,
  outFeatures: featuresSchema,
  places: z.union([z.literal('target'), sizeSchema.max(MAX_PLACES)]).exactOptional(),
  convolution: z.strictObject({
    channels: featuresSchema,
    height: sideSchema,
    width: sideSchema,
    kernel: z.tuple([sideSchema, sideSchema]),
    stride: z.tuple([sideSchema, sideSchema]),
    padding: z.tuple([countSchema.max(MAX_SIDE), countSchema.max(MAX_SIDE)])
  }).refine(convolution => outputSize(convolution).every(size => size >= 1), 'no patch fits into the image').exactOptional(),
  embedding: z.literal(true).exactOptional()
}).refine(({ places, convolution, embedding }) => convolution === undefined || (places === undefined && embedding === undefined), 'a convolution has places of its own')
  .refine(({ inFeatures, convolution }) => convolution === undefined || inFeatures === convolution.channels * convolution.kernel[0] * convolution.kernel[1], 'the columns of a convolution are the values of a patch')
