import { createHash } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import { z } from 'zod'
import { InvalidInviteError } from '../errors.js'
import { jobId } from '../job.js'
import type { Mesh } from './mesh.js'
import { MIXED, type TrainOptions, trainOptionsSchema } from './trainer/options.js'
import type { Plan } from './trainer/plan.js'

/** Multibase's prefix of base64url without padding. */
const PREFIX = 'u'

const VERSION = 1

/** Of a sha-256, in bytes: for copies that were damaged, not for forgers. */
const CHECKSUM_BYTES = 4

/** The longest content that is unpacked, in bytes. */
const MAX_BYTES = 1 << 20

/** Addresses that are told at most. */
const MAX_ADDRESSES = 16

const PASTE = 'copy it once more, all of it, from the "u" at its beginning on'

/** What members of one job have in common, and what the one who invites trains with. */
const settingsSchema = trainOptionsSchema.pick({
  model: true,
  sites: true,
  aux: true,
  rank: true,
  alpha: true,
  rankPattern: true,
  alphaPattern: true,
  rslora: true,
  dropout: true,
  job: true,
  mode: true,
  merge: true,
  interval: true,
  seed: true,
  members: true,
  quorum: true,
  optimizer: true,
  lr: true,
  weightDecay: true,
  schedule: true,
  warmup: true,
  maxGradNorm: true,
  clip: true,
  batchSize: true,
  groupByLength: true,
  length: true,
  steps: true,
  wire: true
})

const inviteSchema = z.strictObject({
  addresses: z.array(z.string().max(500).refine(isMultiaddr, 'not a multiaddr')).min(1).max(MAX_ADDRESSES),
  /** Id of the job; null where a host invites, who knows of none. */
  job: z.string().regex(/^[0-9a-f]{64}$/).nullable(),
  settings: settingsSchema
})

/**
 * Where to find a mesh, and what to train there. Addresses end with peer ids, which are the hashes of their public keys:
 * who has the invite speaks with these peers and nobody in their place.
 */
export type Invite = z.infer<typeof inviteSchema>

/** One word to be pasted: a version, a checksum, and packed CBOR, in base64url. */
export function encodeInvite (invite: z.input<typeof inviteSchema>): string {
  const content = deflateRawSync(encode(JSON.parse(JSON.stringify(invite)))) // without keys that are undefined
  return PREFIX + toString(Buffer.concat([Uint8Array.of(VERSION), checksumOf(content), content]), 'base64url')
}

/** @throws {InvalidInviteError} if it is damaged, or of another version */
export function decodeInvite (text: string): Invite {
  const word = text.trim()
  if (!word.startsWith(PREFIX)) throw new InvalidInviteError(`an invite begins with "${PREFIX}", this with ${JSON.stringify(word.slice(0, 8))}; ${PASTE}`)
  const wrong = /[^\w-]/.exec(word)
  if (wrong !== null) throw new InvalidInviteError(`an invite has letters, digits, - and _; this has ${JSON.stringify(wrong[0])} at ${wrong.index + 1}; ${PASTE}`)
  const bytes = bytesOf(word.slice(PREFIX.length))
  if (bytes.byteLength <= 1 + CHECKSUM_BYTES) throw new InvalidInviteError(`${word.length} characters are no whole invite; ${PASTE}`)
  if (bytes[0] !== VERSION) throw new InvalidInviteError(`this is an invite of version ${bytes[0]}, or damaged; this colanet reads version ${VERSION}: have both sides run the same colanet`)
  const content = bytes.subarray(1 + CHECKSUM_BYTES)
  if (!equals(bytes.subarray(1, 1 + CHECKSUM_BYTES), checksumOf(content))) throw new InvalidInviteError(`the invite was altered or cut when it was copied: its checksum is another one; ${PASTE}`)
  return contentOf(content)
}

/** Of one who trains. Undefined where nobody else could do the same: beside earlier adapters, or several tasks. */
export function inviteToJob (mesh: Mesh, options: TrainOptions, { job }: Plan): string | undefined {
  if (options.beside !== undefined || options.tasks !== undefined) return undefined
  const { auxiliary: { rank, alpha, ranks, alphas, rankStabilised = false, dropout }, kinds, name, ...shared } = job
  const settings = { ...options, ...shared, job: name, aux: kinds.join(MIXED), rank, alpha, rankPattern: ranks, alphaPattern: alphas, rslora: rankStabilised, dropout }
  return encodeInvite({ addresses: addressesFor(mesh), job: jobId(job), settings: only(settings) })
}

/** Of one who lends a model: what is trained is whatever `train` does unless told otherwise. */
export function inviteToModel (mesh: Mesh, model: string): string {
  return encodeInvite({ addresses: addressesFor(mesh), job: null, settings: { model } })
}

/** This node's own, and those at which it has reached others, who may be there when it is not. */
function addressesFor (mesh: Mesh): string[] {
  const reached = mesh.getConnections().filter(({ direction }) => direction === 'outbound').map(({ remoteAddr, remotePeer }) => withPeer(remoteAddr.toString(), remotePeer.toString()))
  return [...new Set([...mesh.getMultiaddrs().map(String), ...reached])].slice(0, MAX_ADDRESSES)
}

function withPeer (address: string, peer: string): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${peer}`
}

function only (settings: Record<string, unknown>): z.input<typeof settingsSchema> {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => Object.hasOwn(settingsSchema.shape, name))) as z.input<typeof settingsSchema>
}

function contentOf (content: Uint8Array): Invite {
  try {
    return inviteSchema.parse(decode(inflateRawSync(content, { maxOutputLength: MAX_BYTES })))
  } catch (cause) {
    throw new InvalidInviteError(`the invite says what this colanet does not know (${(cause as Error).message}): have both sides run the same colanet`, { cause })
  }
}

function bytesOf (text: string): Uint8Array {
  try {
    return fromString(text, 'base64url')
  } catch (cause) {
    throw new InvalidInviteError(`the invite is not base64url; ${PASTE}`, { cause })
  }
}

function checksumOf (content: Uint8Array): Uint8Array {
  return createHash('sha256').update(content).digest().subarray(0, CHECKSUM_BYTES)
}

function isMultiaddr (text: string): boolean {
  try {
    multiaddr(text)
    return true
  } catch {
    return false
  }
}
