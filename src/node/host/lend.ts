import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PeerId } from '@libp2p/interface'
import type { Manifest } from '../../tensor/chunks.js'
import type { Offer } from '../../protocols/advert/index.js'
import { stepServer, type StepReply, type StepRequest } from '../../protocols/step/index.js'
import type { JobMessage } from '../../protocols/topic/index.js'
import type { ColaNode } from '../node.js'
import type { EncodedPart } from './encoded-part.js'
import type { Host } from './host.js'

/** Files that a trainer needs to turn text into tokens. */
const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json']

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
        const { reply, parts } = await host.step(peer, request, request.wire, signal)
        for (const { manifest, bytes } of parts) node.store.add({ manifest, bytes, kind: 'adaptation' })
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

/** In the background: the trainer has the reply meanwhile. */
function announce (node: ColaNode, peer: PeerId, { job, step, wire }: StepRequest, { version }: StepReply, parts: readonly EncodedPart[]): void {
  const topic = node.jobs.get(job)?.topic
  for (const [i, { sites, manifest }] of parts.entries()) {
    const message: JobMessage = { type: 'adaptation', job, step, trainer: peer.toString(), version, group: String(i), sites: [...sites], wire, manifest }
    topic?.publish(message, { to: peer, signal: AbortSignal.timeout(ANNOUNCE_TIMEOUT) }).catch(node.log)
  }
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
