import { decode, encode } from 'cborg'
import { z } from 'zod'
import { ProtocolError } from '../errors.js'
import type { Site } from '../types.js'
import { checkManifest, CHUNK_BYTES, type Manifest, MAX_BLOB_BYTES, MAX_CHUNKS } from '../tensor/chunks.js'

/** A message as CBOR (RFC 8949), with the keys of maps in their canonical order. */
export function encodeMessage (message: object): Uint8Array {
  return encode(message)
}

/** @throws {ProtocolError} if the bytes are not CBOR, or not such a message */
export function decodeMessage<T> (schema: z.ZodType<T>, bytes: Uint8Array): T {
  let decoded: unknown
  try {
    decoded = decode(bytes)
  } catch (cause) {
    throw new ProtocolError(`${bytes.byteLength} bytes that are not CBOR`, { cause })
  }
  const parsed = schema.safeParse(decoded)
  if (!parsed.success) throw new ProtocolError(`a message that does not follow the protocol: ${z.prettifyError(parsed.error)}`)
  return parsed.data
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

export const siteSchema: z.ZodType<Site> = z.strictObject({
  name: siteNameSchema,
  inFeatures: sizeSchema,
  outFeatures: sizeSchema,
  places: z.union([z.literal('target'), sizeSchema]).exactOptional(),
  convolution: z.strictObject({
    channels: sizeSchema,
    height: sizeSchema,
    width: sizeSchema,
    kernel: z.tuple([sizeSchema, sizeSchema]),
    stride: z.tuple([sizeSchema, sizeSchema]),
    padding: z.tuple([countSchema, countSchema])
  }).exactOptional(),
  embedding: z.literal(true).exactOptional()
})
