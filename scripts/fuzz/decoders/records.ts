import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { ProtocolError } from '../../../src/errors.js'
import { answerSchema, requestSchema } from '../../../src/protocols/contribution/schema.js'
import { type ContributionRecord, signRecord, verifyRecord } from '../../../src/protocols/contribution/index.js'
import { type Manifest, manifestOf } from '../../../src/tensor/chunks.js'
import { InvalidAcceptedError, type Source } from '../decoder.js'
import { below, randomBytes, randomHash } from '../random.js'
import { messageDecoder } from './messages.js'

/** All that was signed: what else has a signature that is right is forged. */
const signed = new Set<string>()

/** Of a blob of a few chunks. */
export function randomManifest (random: () => number): Manifest {
  return manifestOf(randomBytes(below(200, random), random), 1 + below(100, random))
}

export async function randomPeer (random: () => number): Promise<string> {
  return peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', randomBytes(32, random))).toString()
}

export async function randomRecord ({ random }: Source): Promise<ContributionRecord> {
  const key = await generateKeyPairFromSeed('Ed25519', randomBytes(32, random))
  const record = await signRecord(key, { job: randomHash(random), round: below(100, random), tokens: below(10_000, random), final: random() < 0.5, manifest: randomManifest(random) })
  signed.add(contentOf(record))
  return record
}

/** @throws {ProtocolError} if a signature is not right, as all who take a record say */
export async function checkRecord (record: ContributionRecord): Promise<void> {
  if (!await verifyRecord(record)) throw new ProtocolError(`${record.peer} did not sign its record`)
  if (!signed.has(contentOf(record))) throw new InvalidAcceptedError(`a record that ${record.peer} did not sign is taken for its own`)
}

function contentOf ({ job, peer, round, tokens, final, manifest: { id } }: ContributionRecord): string {
  return JSON.stringify([job, peer, round, tokens, final, id])
}

export const contributionRequest = messageDecoder('contribution request', requestSchema, ({ random }) => ({ job: randomHash(random) }))

export const contributionReply = messageDecoder('contribution reply', answerSchema,
  async source => ({ records: await Promise.all(Array.from({ length: below(4, source.random) }, async () => await randomRecord(source))) }),
  async ({ records }) => { for (const record of records) await checkRecord(record) }
)
