import '../../src/cli/stdout.js'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { multiaddr } from '@multiformats/multiaddr'
import { writeToStdout } from '../../src/cli/stdout.js'
import { ColaNode } from '../../src/node/node.js'
import { decodeMessage, manifestSchema } from '../../src/protocols/message.js'
import { chunkOf, type Manifest, verifyChunk } from '../../src/tensor/chunks.js'
import { timed } from './interleaved.js'
import { TLS, TLS_KEY } from './tls.js'

/** What a line asks for: a blob by its manifest in base64, or as many bytes over a port; so many times. */
export interface PullRequest {
  readonly manifest: string
  readonly times: number
  /** Of the blob as it is, or with TLS and each chunk hashed here. */
  readonly over?: { readonly port: number, readonly tls: boolean }
}

/** A node that pulls what each line says from the node at the address, and answers with the milliseconds that it took. */
const [folder, address] = process.argv.slice(2)
const node = await ColaNode.start({ folder, listen: [], mdns: false, localFolder: false })
const { remotePeer: holder } = await node.mesh.dial(multiaddr(address))
await writeToStdout('{}\n')

let into = new Uint8Array() // used again, as trainers do
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as PullRequest
  const manifest = decodeMessage(manifestSchema, Buffer.from(request.manifest, 'base64'))
  if (into.byteLength !== manifest.size) into = new Uint8Array(manifest.size)
  const { over, times } = request
  const milliseconds = await timed(async () => {
    for (let i = 0; i < times; i++) {
      if (over === undefined) await node.blobs.pullInto(into, manifest, [holder], { kind: 'bench', signal: new AbortController().signal })
      else if (over.tls) await receiveChecked(over.port, into, manifest)
      else await receive(connect({ port: over.port, host: '127.0.0.1' }), into)
    }
  })
  await writeToStdout(`${JSON.stringify({ milliseconds })}\n`)
}
process.exit()

/** @param onLength is told how much is there */
async function receive (socket: Socket, into: Uint8Array, onLength?: (length: number) => void): Promise<void> {
  let length = 0
  socket.on('data', data => {
    into.set(data, length)
    length += data.byteLength
    onLength?.(length)
  })
  await once(socket, 'end')
  if (length !== into.byteLength) throw new Error(`${length} bytes came of ${into.byteLength}`)
}

/** Encrypted, and each chunk hashed on another thread, as a pull does it. */
async function receiveChecked (port: number, into: Uint8Array, manifest: Manifest): Promise<void> {
  const checked: Array<Promise<void>> = []
  const isWhole = (index: number, length: number): boolean => index < manifest.chunks.length && length >= Math.min((index + 1) * manifest.chunkSize, manifest.size)
  const socket = connectTls({ ...TLS, port, host: '127.0.0.1', pskCallback: () => ({ psk: TLS_KEY, identity: 'bench' }), checkServerIdentity: () => undefined })
  await receive(socket, into, length => {
    while (isWhole(checked.length, length)) checked.push(verifyChunk(manifest, checked.length, chunkOf(into, manifest, checked.length)))
  })
  await Promise.all(checked)
}
