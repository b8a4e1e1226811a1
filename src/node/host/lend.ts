import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { jobId } from '../../job.js'
import type { Manifest } from '../../tensor/chunks.js'
import { encodeWeightNorms } from '../../tensor/weight-norms.js'
import type { Offer } from '../../protocols/advert/index.js'
import { stepServer } from '../../protocols/step/index.js'
import { PROCESSOR_FILE } from '../dataset.js'
import type { ColaNode } from '../node.js'
import type { Host } from './host.js'
import { Lending, Lendings } from './lendings.js'
import { LentBlobs } from './lent-blobs.js'
import { TrainerAccounts, type TrainerQuotas } from './trainer-quotas.js'

/** Files that a trainer needs to turn its data into what the model takes. */
const DATA_FILES = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', PROCESSOR_FILE]

export interface LendInit {
  readonly host: Host
  /** The model's folder, whose tokenizer or image processor is offered too. */
  readonly folder: string
  /** What it has of any one trainer. @default see `TrainerQuotas` */
  readonly quotas?: Partial<TrainerQuotas>
}

/**
 * Offers a host to the mesh: it is found from now on and answers steps. Adaptation data are announced on the job's topic
 * and stay to be pulled until the trainer's next steps, see `Lendings`.
 *
 * @returns stops it
 * @throws {InvalidOptionError} if a quota is not possible
 */
export async function lend (node: ColaNode, { host, folder, quotas }: LendInit): Promise<() => Promise<void>> {
  const files = await dataFiles(node, folder)
  const lendings = new Lendings()
  const accounts = new TrainerAccounts(quotas)
  const blobs = new LentBlobs(node.store)
  const server = stepServer({
    counter: node.traffic,
    breaches: node.bans,
    limits: node.limits,
    handler: {
      open: async (peer, job, signal) => {
        accounts.useJob(peer.toString(), jobId(job))
        const opened = host.open(job)
        await node.contributions.sync(peer, host.jobs.join(job, opened.sites).id, { signal }).catch(node.log)
        const norms = await host.startNorms(job)
        return norms.size === 0 ? opened : { ...opened, norms: encodeWeightNorms(norms) }
      },
      step: async (peer, request, signal) => {
        const trainer = peer.toString()
        lendings.release(trainer, request)
        const tokens = host.check(request)
        accounts.useJob(trainer, request.job)
        accounts.useTokens(trainer, tokens, lendings.waitingBefore(trainer, request))
        const { reply, parts } = await host.step(peer, request, 'parts', signal)
        if (request.purpose === 'train') {
          const lending = new Lending({ node, blobs, peer, request, reply })
          lendings.add(trainer, request, lending)
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
