import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createMesh, type Mesh } from '../../src/node/mesh.js'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { pEvent } from 'p-event'
import { encodeMessage } from '../../src/protocols/message.js'

export const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']

/** Running nodes on loopback, all connected to the first. */
export class Nodes {
  readonly all: Mesh[] = []
  readonly keys: PrivateKey[] = []

  async add (): Promise<Mesh> {
    const identity = await generateKeyPair('Ed25519')
    const node = await createMesh({ identity, listen: LOOPBACK, localFolder: false })
    if (this.all.length > 0) await connect(node, this.all[0])
    this.all.push(node)
    this.keys.push(identity)
    return node
  }

  async stop (): Promise<void> {
    await Promise.all(this.all.splice(0).map(async node => { await node.stop() }))
    this.keys.length = 0
  }
}

/** Ends when both know of the connection: who dials knows of it first. */
export async function connect (from: Mesh, to: Mesh): Promise<void> {
  const accepted = pEvent<'peer:connect', CustomEvent<PeerId>>(to, 'peer:connect', { filter: ({ detail }) => detail.equals(from.peerId), signal: soon() })
  await from.dial(to.getMultiaddrs())
  await accepted
}

/** A peer that answers each request of a protocol as it likes, in CBOR. */
export async function answerWith (node: Mesh, protocol: string, answers: (request: Uint8Array) => AsyncIterable<object> | Iterable<object>): Promise<void> {
  await node.handle(protocol, async stream => {
    const frames = lpStream(stream)
    for (;;) {
      const request = await frames.read().catch(() => undefined)
      if (request === undefined) return
      for await (const answer of answers(request.subarray())) await frames.write(encodeMessage(answer))
    }
  })
}

/** How the other side ends a stream on which it is sent a request, which may be anything. */
export async function endOf (from: Mesh, to: Mesh, protocol: string, request: Uint8Array): Promise<string> {
  const stream = await from.dialProtocol(to.peerId, protocol)
  const closed = pEvent(stream, 'close', { signal: soon() })
  await lpStream(stream).write(request)
  await closed
  return stream.status
}

/** Ends when a test would have failed long ago. */
export function soon (): AbortSignal {
  return AbortSignal.timeout(60_000)
}

/** A TCP port of loopback at which nobody listens. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
