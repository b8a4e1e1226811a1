import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerId } from '@libp2p/interface'
import { decode } from 'cborg'
import { Host } from '../../src/node/host/host.js'
import { lend } from '../../src/node/host/lend.js'
import type { LentModel } from '../../src/node/host/lent-model.js'
import { ColaNode, type ColaNodeInit } from '../../src/node/node.js'
import { BLOB_PROTOCOL } from '../../src/protocols/blob/index.js'
import { CONTRIBUTION_PROTOCOL, type ContributionRecord } from '../../src/protocols/contribution/index.js'
import { type OpenReply, STEP_PROTOCOL, type StepReply, type StepRequest, stepServer } from '../../src/protocols/step/index.js'
import type { AdaptationMessage } from '../../src/protocols/topic/index.js'
import { encodeAdaptation } from '../../src/tensor/adaptation.js'
import { chunkOf } from '../../src/tensor/chunks.js'
import type { AdaptationData } from '../../src/types.js'
import { answerWith, LOOPBACK, soon } from '../protocols/nodes.js'

/** Is called once, before the first lie. */
type BeforeLie = () => Promise<void>

/** What a host says otherwise than an honest one: nothing but this, which it is given as an honest one would say it. */
export interface Lies {
  readonly opened?: (opened: OpenReply) => OpenReply
  readonly reply?: (reply: StepReply, request: StepRequest, liar: ColaNode, trainer: PeerId) => StepReply | Promise<StepReply>
  readonly data?: (data: AdaptationData) => AdaptationData
  /** Of the encoded data. */
  readonly bytes?: (bytes: Uint8Array) => Uint8Array
  /** All that it announces, in this order. */
  readonly announced?: (message: AdaptationMessage, liar: ColaNode) => readonly AdaptationMessage[]
  /** What answers a request for a chunk. */
  readonly chunk?: (chunk: Uint8Array) => object
  /** What it closes instead of answering, or once it has answered; it announces nothing then. */
  readonly closes?: 'stream' | 'connection' | 'connection afterwards'
  /** What it says to be its job's contributions, when it is asked for them. */
  readonly records?: (job: string, liar: ColaNode) => Promise<ContributionRecord[]>
}

/** Nodes on loopback in this process; each knows of those alone to which it was connected. */
export class Nodes {
  readonly #model: string
  readonly #all: ColaNode[] = []
  readonly #folders: string[] = []

  /** @param model the folder of what hosts lend */
  constructor (model: string) {
    this.#model = model
  }

  async add (folder?: string, limits: ColaNodeInit['limits'] = {}): Promise<ColaNode> {
    const node = await ColaNode.start({ folder: folder ?? await this.folder(), listen: LOOPBACK, localFolder: false, limits })
    this.#all.push(node)
    return node
  }

  async folder (): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'colanet-liar-'))
    this.#folders.push(folder)
    return folder
  }

  async honest (model: LentModel, limits = {}): Promise<ColaNode> {
    const node = await this.add()
    await lend(node, { host: new Host({ model, jobs: node.jobs, limits }), folder: this.#model })
    return node
  }

  /** A host that is honest but for its lies; those about steps it tells from this step on. */
  async liar (model: LentModel, lies: Lies, { from = 0, before = async () => { await Promise.resolve() } }: { from?: number, before?: BeforeLie } = {}): Promise<ColaNode> {
    const node = await this.add()
    const host = new Host({ model, jobs: node.jobs })
    await lend(node, { host, folder: this.#model })
    await node.mesh.unhandle(STEP_PROTOCOL)
    await serveLies(node, host, lies, from, once(before))
    return node
  }

  async leave (node: ColaNode): Promise<void> {
    this.#all.splice(this.#all.indexOf(node), 1)
    await node.stop()
  }

  async stop (): Promise<void> {
    await Promise.all(this.#all.splice(0).map(async node => { await node.stop() }))
    await Promise.all(this.#folders.splice(0).map(async folder => { await rm(folder, { recursive: true, force: true }) }))
  }
}

/** Ends when one has heard what the other offers. */
export async function hear (trainer: ColaNode, host: ColaNode): Promise<void> {
  await host.mesh.dial(trainer.mesh.getMultiaddrs(), { signal: soon() })
  const search = trainer.adverts.find(({ peer }) => peer === host.mesh.peerId.toString(), { signal: soon() })
  await search.next()
  await search.return(undefined as never)
}

function once (before: BeforeLie): BeforeLie {
  let done: Promise<void> | undefined
  return async () => { await (done ??= before()) }
}

async function serveLies (node: ColaNode, host: Host, lies: Lies, from: number, before: BeforeLie): Promise<void> {
  const state = { lying: false }
  await stepServer({
    handler: {
      open: async (_, job) => {
        const opened = host.open(job)
        if (lies.opened === undefined) return opened
        await before()
        return lies.opened(opened)
      },
      step: async (peer, request, signal) => {
        const { reply, data } = await host.step(peer, request, 'tensors', signal)
        if (request.step >= from) {
          await before()
          state.lying = true
        }
        const told = state.lying ? lies : {}
        if (told.closes !== undefined) await close(node, peer, told.closes)
        const answer = await told.reply?.(reply, request, node, peer) ?? reply
        if (told.closes === undefined) announce(node, peer, request, answer, data, told).catch(node.log)
        return answer
      }
    }
  })(node.mesh).start()
  await serveChunks(node, chunk => state.lying ? lies.chunk?.(chunk) : undefined)
  const { records } = lies
  if (records !== undefined) await serveRecords(node, async job => await records(job, node))
}

async function close (node: ColaNode, peer: PeerId, what: NonNullable<Lies['closes']>): Promise<void> {
  const connections = node.mesh.getConnections(peer)
  const streams = connections.flatMap(({ streams }) => streams).filter(({ protocol }) => protocol === STEP_PROTOCOL)
  if (what === 'connection afterwards') {
    for (const stream of streams) stream.addEventListener('close', () => { node.mesh.hangUp(peer).catch(node.log) }, { once: true })
    return
  }
  await Promise.all((what === 'stream' ? streams : connections).map(async each => { await each.close() }))
}

async function announce (node: ColaNode, peer: PeerId, { job, step, wire }: StepRequest, { version }: StepReply, data: AdaptationData, lies: Lies): Promise<void> {
  const encoded = encodeAdaptation(lies.data?.(data) ?? data, wire)
  const manifest = node.store.put(lies.bytes?.(encoded) ?? encoded, 'adaptation')
  const message: AdaptationMessage = { type: 'adaptation', job, step, trainer: peer.toString(), version, group: '0', sites: [...data.keys()], wire, manifest }
  const { topic } = node.jobs.get(job)!
  for (const each of lies.announced?.(message, node) ?? [message]) await topic!.publish(each, { to: peer, signal: soon() })
}

async function serveChunks (node: ColaNode, lie: (chunk: Uint8Array) => object | undefined): Promise<void> {
  await node.blobs.stop()
  await answerWith(node.mesh, BLOB_PROTOCOL, function * (request) {
    const { id, chunks } = decode(request) as { id: string, chunks: number[] }
    const held = node.store.get(id)
    for (const index of chunks) {
      const chunk = held === undefined ? undefined : chunkOf(held.bytes, held.manifest, index)
      yield chunk === undefined ? { refused: 'not held here' } : lie(chunk) ?? { chunk }
    }
  })
}

async function serveRecords (node: ColaNode, records: (job: string) => Promise<ContributionRecord[]>): Promise<void> {
  await node.contributions.stop()
  await answerWith(node.mesh, CONTRIBUTION_PROTOCOL, async function * (request) {
    const { job } = decode(request) as { job: string }
    yield { records: await records(job) }
  })
}
