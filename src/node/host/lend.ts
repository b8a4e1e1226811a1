import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PeerId } from '@libp2p/interface'
import type { Manifest } from '../../tensor/chunks.js'
import { encodeWeightNorms } from '../../tensor/weight-norms.js'
import type { Offer } from '../../protocols/advert/index.js'
import { stepServer, type StepReply, type StepRequest } from '../../protocols/step/index.js'
import type { JobMessage } from '../../protocols/topic/index.js'
import { PROCESSOR_FILE } from '../dataset.js'
import type { ColaNode } from '../node.js'
import type { EncodedPart, EncodedParts } from './encoded-part.js'
import type { Host } from './host.js'

/** Files that a trainer needs to turn its data into what the model takes. */
const DATA_FILES = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', PROCESSOR_FILE]

/** How long the trainer may take to listen, in milliseconds, see `JobTopic.publish`. */
const ANNOUNCE_TIMEOUT = 30_000

export interface LendInit {
  readonly host: Host
  /** The model's folder, whose tokenizer or image processor is offered too. */
  readonly folder: string
}

/**
 * Offers a host to the mesh: it is found from now on and answers steps. Adaptation data are announced on the job's topic
 * and stay to be pulled until the trainer's next step.
 *
 * @returns stops it
 */
export async function lend (node: ColaNode, { host, folder }: LendInit): Promise<() => Promise<void>> {
  const files = await dataFiles(node, folder)
  const lendings = new Map<string, Lending>()
  const server = stepServer({
    counter: node.traffic,
    handler: {
      open: async (peer, job, signal) => {
        const opened = host.open(job)
        await node.contributions.sync(peer, host.jobs.join(job, opened.sites).id, { signal }).catch(node.log)
        const norms = await host.startNorms(job)
        return norms.size === 0 ? opened : { ...opened, norms: encodeWeightNorms(norms) }
      },
      step: async (peer, request, signal) => {
        const key = `${peer.toString()}/${request.job}`
        lendings.get(key)?.end()
        lendings.delete(key)
        const { reply, parts } = await host.step(peer, request, 'parts', signal)
        if (request.purpose === 'train') {
          lendings.get(key)?.end() // a try of the step that came meanwhile
          const lending = new Lending(node, peer, request, reply)
          lendings.set(key, lending)
          lending.offer(parts).catch(node.log)
        }
        return reply
      }
    }
  })(node.mesh)
  await server.start()
  node.adverts.offer(() => offerOf(host, files))
  return async () => await server.stop()
}

/** The adaptation data of one step, held while its trainer may want them. */
class Lending {
  readonly #node: ColaNode
  readonly #peer: PeerId
  readonly #request: StepRequest
  readonly #reply: StepReply
  readonly #parts: EncodedPart[] = []
  #over = false

  constructor (node: ColaNode, peer: PeerId, request: StepRequest, reply: StepReply) {
    this.#node = node
    this.#peer = peer
    this.#request = request
    this.#reply = reply
  }

  /** Announces each part as soon as it is there, while the trainer has the reply already. */
  async offer (parts: EncodedParts): Promise<void> {
    const { job, step, wire } = this.#request
    const to = this.#peer
    let count = 0
    for await (const part of parts) {
      if (this.#over) return
      const { sites, manifest, bytes } = part
      this.#node.store.add({ manifest, bytes, kind: 'adaptation', to })
      this.#parts.push(part)
      const message: JobMessage = {
        type: 'adaptation', job, step, trainer: to.toString(), version: this.#reply.version, group: String(count++), sites: [...sites], wire, manifest
      }
      this.#node.jobs.get(job)?.topic?.publish(message, { to, signal: AbortSignal.timeout(ANNOUNCE_TIMEOUT) }).catch(this.#node.log)
    }
  }

  end (): void {
    this.#over = true
    for (const { manifest, release } of this.#parts) {
      this.#node.store.delete(manifest.id)
      release?.()
    }
  }
}

function offerOf ({ model: { info, engine }, limits, tokensPerSecond }: Host, files: Record<string, Manifest>): Offer {
  const { id, name, sites, defaultSites, labels, ...rest } = info
  return { model: id, name, sites: [...sites], defaultSites: [...defaultSites], labels: [...labels], ...rest, limits, tokensPerSecond, engine: engine.description, files }
}

async function dataFiles (node: ColaNode, folder: string): Promise<Record<string, Manifest>> {
  const files: Record<string, Manifest> = {}
  for (const name of DATA_FILES) {
    const bytes = await readFile(join(folder, name)).catch(() => undefined)
    if (bytes !== undefined) files[name] = node.store.put(bytes, 'tokenizer')
  }
  return files
}
