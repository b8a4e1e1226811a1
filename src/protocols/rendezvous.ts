import type { Libp2p, Logger, PeerId } from '@libp2p/interface'
import { setTimeout as delay } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createDigest } from 'multiformats/hashes/digest'
import { fromString } from 'uint8arrays/from-string'
import { pauseAfter, type Pauses } from './pauses.js'

export type RendezvousComponents = Pick<Libp2p, 'peerId' | 'contentRouting' | 'getPeers'>

export interface SearchInit {
  /** Between searches. */
  readonly pauses: Pauses
  readonly log: Logger
  /** Is asked before each search. @default always */
  readonly isNeeded?: () => boolean
}

/** Multihash code of sha2-256 (the multicodec table). */
const SHA2_256 = 0x12

/**
 * Enters this node in the DHT as one that has to do with what an id names.
 *
 * @param id a sha-256, in hex: of a model or of a job
 * @returns whether there was anybody to tell
 */
export async function enter (components: RendezvousComponents, id: string, signal: AbortSignal): Promise<boolean> {
  if (components.getPeers().length === 0) return false
  await components.contentRouting.provide(cidOf(id), { signal })
  return true
}

/** Has the DHT forget this node's entry: what is left of it elsewhere ends by itself. */
export async function withdraw ({ contentRouting }: RendezvousComponents, id: string): Promise<void> {
  await contentRouting.cancelReprovide(cidOf(id))
}

/**
 * Others that have entered, as the DHT tells of them: again and again, as nobody may be there to answer when the search begins. It goes on
 * until the signal ends, whose reason it throws, or until the caller breaks off.
 */
export async function * entered (
  { contentRouting, peerId }: RendezvousComponents, id: string, { pauses, log, isNeeded = () => true }: SearchInit, signal: AbortSignal
): AsyncGenerator<PeerId, never> {
  for (let searches = 1; ; searches++) {
    try {
      if (isNeeded()) {
        for await (const found of contentRouting.findProviders(cidOf(id), { signal })) {
          if (!found.id.equals(peerId)) yield found.id
        }
      }
    } catch (error) {
      log('%s', error)
    }
    await delay(pauseAfter(searches, pauses), undefined, { signal, ref: false })
  }
}

function cidOf (id: string): CID {
  return CID.createV1(raw.code, createDigest(SHA2_256, fromString(id, 'base16')))
}
