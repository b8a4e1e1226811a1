import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { z } from 'zod'
import { bytesSchema, countSchema, encodeMessage, hashSchema, manifestSchema, peerSchema } from '../message.js'

export const recordSchema = z.strictObject({
  job: hashSchema,
  /** Who trained it, and signs. */
  peer: peerSchema,
  /** Counts up with each of the peer's contributions to the job. */
  round: countSchema,
  /** Tokens that the peer has trained on so far. */
  tokens: countSchema,
  /** Whether it is the peer's last. */
  final: z.boolean(),
  /** The auxiliary, which is pulled as a blob. */
  manifest: manifestSchema,
  /** Ed25519, see `signRecord`. */
  signature: bytesSchema.refine(({ byteLength }) => byteLength === 64, 'not a signature')
})

export type ContributionRecord = z.infer<typeof recordSchema>
export type RecordFields = Omit<ContributionRecord, 'peer' | 'signature'>

/** Sets these signatures apart from all others that the same key makes. */
const DOMAIN = 'colanet/contribution/1:'

/** A record that says it is from the key's peer, and proves it to whoever passes it on. */
export async function signRecord (privateKey: PrivateKey, fields: RecordFields): Promise<ContributionRecord> {
  const record = { ...fields, peer: peerIdFromPrivateKey(privateKey).toString() }
  return { ...record, signature: await privateKey.sign(signed(record)) }
}

/**
 * Whether the record is from the peer that it names. That peer's id must carry its key, as those of Ed25519 keys do, and
 * be written as libp2p writes it: under a second name one peer would count twice.
 */
export async function verifyRecord (record: ContributionRecord): Promise<boolean> {
  try {
    const { publicKey } = peerIdFromString(record.peer)
    if (publicKey === undefined || peerIdFromPublicKey(publicKey).toString() !== record.peer) return false
    return await publicKey.verify(signed(record), record.signature)
  } catch {
    return false
  }
}

/** The manifest's id covers all of the manifest. */
function signed ({ job, peer, round, tokens, final, manifest }: Omit<ContributionRecord, 'signature'>): Uint8Array {
  return Buffer.concat([Buffer.from(DOMAIN), encodeMessage({ job, peer, round, tokens, final, blob: manifest.id })])
}
