import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PeerId } from '@libp2p/interface'
import type { Manifest } from '../../tensor/chunks.js'
import type { Offer } from '../../protocols/advert/index.js'
import { stepServer, type StepReply, type StepRequest } from '../../protocols/step/index.js'
import type { JobMessage } from '../../protocols/topic/index.js'
import { encodeAdaptation } from '../../tensor/adaptation.js'
import type { AdaptationData, SiteData } from '../../types.js'
import type { ColaNode } from '../node.js'
import type { Host } from './host.js'

/** Files that a trainer needs to turn text into tokens. */
const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json']

/** Neighbouring sites are announced together up to so many bytes of x and ∇ĥ in float32. */
const GROUP_BYTES = 8 << 20

/** How long the trainer may take to listen, in milliseconds, see `JobTopic.publish`. */
const ANNOUNCE_TIMEOUT = 30_000

export interface LendInit {
  readonly host: Host
  /** The model's folder, whose tokenizer is offered too. */
  readonly folder: string
}

/**
 * Offers a host to the mesh: it is found from now on and answers steps. Adaptation data are announced on the job's topic
 * and stay to be pulled until the trainer's next step.
 *
 * @returns stops it
 */
export async function lend (node: ColaNode, { host, folder }: LendInit): Promise<() => Promise<void>> {
  const files = await tokenizerFiles(node, folder)
  const lent = new Map<string, string[]>()
  const server = stepServer({
    counter: node.traffic,
    handler: {
      open: async (peer, job, signal) => {
        const opened = host.open(job)
        await node.contributions.sync(peer, host.jobs.join(job, opened.sites).id, { signal }).catch(node.log)
        return opened
      },
      step: async (peer, request, signal) => {
        const key = `${peer.toString()}/${request.job}`
        for (const blob of lent.get(key) ?? []) node.store.delete(blob)
        lent.delete(key)
        const { reply, data } = await host.step(peer, request, signal)
        const parts = groups(data).map(group => ({ group, manifest: node.store.put(encodeAdaptation(group, request.wire), 'adaptation') }))
        if (parts.length > 0) lent.set(key, parts.map(({ manifest }) => manifest.id))
        announce(node, peer, request, reply, parts)
        return reply
      }
    }
  })(node.mesh)
  await server.start()
  node.adverts.offer(() => offerOf(host, files))
  return async () => await server.stop()
}

interface Part {
  readonly group: AdaptationData
  readonly manifest: Manifest
}

/** In the background: the trainer has the reply meanwhile. */
function announce (node: ColaNode, peer: PeerId, { job, step, wire }: StepRequest, { version }: StepReply, parts: readonly Part[]): void {
  const topic = node.jobs.get(job)?.topic
  for (const [i, { group, manifest }] of parts.entries()) {
    const message: JobMessage = { type: 'adaptation', job, step, trainer: peer.toString(), version, group: String(i), sites: [...group.keys()], wire, manifest }
    topic?.publish(message, { to: peer, signal: AbortSignal.timeout(ANNOUNCE_TIMEOUT) }).catch(node.log)
  }
}

/** Sites in their order, joined while they are small, so that the first can be pulled before the last is encoded. */
function groups (data: AdaptationData): Array<Map<string, SiteData>> {
  const parts: Array<Map<string, SiteData>> = []
  let bytes = Infinity
  for (const [site, own] of data) {
    const size = own.x.values.byteLength + own.gradient.values.byteLength
    if (bytes + size > GROUP_BYTES) {
      parts.push(new Map())
      bytes = 0
    }
    parts[parts.length - 1].set(site, own)
    bytes += size
  }
  return parts
}

function offerOf ({ model: { info, engine }, limits, tokensPerSecond }: Host, files: Record<string, Manifest>): Offer {
  const { id, name, sites, defaultSites, fanInFanOut, positions, vocabSize } = info
  return { model: id, name, sites: [...sites], defaultSites: [...defaultSites], fanInFanOut, positions, vocabSize, limits, tokensPerSecond, engine: engine.description, files }
}

async function tokenizerFiles (node: ColaNode, folder: string): Promise<Record<string, Manifest>> {
  const files: Record<string, Manifest> = {}
  for (const name of TOKENIZER_FILES) {
    const bytes = await readFile(join(folder, name)).catch(() => undefined)
    if (bytes !== undefined) files[name] = node.store.put(bytes, 'tokenizer')
  }
  return files
}
