import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { createHash } from 'node:crypto'
import { encodeAdapter } from '../../src/gl/adapter-message.js'
import { parameterShapes } from '../../src/gl/auxiliary.js'
import type { Job } from '../../src/job.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, Site } from '../../src/types.js'
import { randomFloats } from '../fuzz/random.js'
import type { Network } from './network.js'
import type { VirtualTime } from './virtual-time.js'

export const SITES: readonly Site[] = [
  { name: 'h.0.wide', inFeatures: 3, outFeatures: 5 },
  { name: 'h.1.square', inFeatures: 4, outFeatures: 4 }
]

export const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 4 }

export const JOB: Job = {
  name: 'chaos', model: 'c'.repeat(64), sites: SITES.map(({ name }) => name), auxiliary: { rank: 2, alpha: 4 }, kinds: ['low-rank'], mode: 'collaboration', merge: 'during', interval: 1, seed: 0
}

/** Where all of a seed's members live. */
export interface World {
  readonly time: VirtualTime
  readonly network: Network
  readonly random: () => number
  readonly log: (event: string) => void
  /** Who is always there, and holds what it hears. */
  readonly host: PeerId
  /** The honest members. */
  readonly members: () => readonly PeerId[]
  /** How many each of them is told to expect. */
  readonly expected: number
  /** What was contributed and is as it should be, by the ids of blobs: what sums are made of once more. */
  readonly contents: Map<string, AdapterTensors>
}

/** How long a member that says nothing is waited for, in milliseconds: longer than anybody is cut off, or killed before it is started again. */
export const PATIENCE = 30_000

export async function keyOf (seed: number, name: string): Promise<PrivateKey> {
  return await generateKeyPairFromSeed('Ed25519', createHash('sha256').update(`${seed}/${name}`).digest())
}

/** Auxiliaries of the job, whose bytes are known from now on. */
export function newAdapter ({ random, contents }: World): AdapterTensors {
  const adapter = new Map(SITES.map(site => [site.name, new Map([...parameterShapes(SPEC, site)].map(([name, shape]): [string, FloatTensor] => [name, randomFloats(shape, random)]))]))
  contents.set(manifestOf(encodeAdapter(adapter)).id, adapter)
  return adapter
}
