import '../../src/cli/stdout.js'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { multiaddr } from '@multiformats/multiaddr'
import { writeToStdout } from '../../src/cli/stdout.js'
import { ColaNode } from '../../src/node/node.js'
import { decodeMessage, manifestSchema } from '../../src/protocols/message.js'
import { timed } from './interleaved.js'

/** What a line asks for: a blob by its manifest in base64, or as many bytes over a bare TCP port; so many times. */
export interface PullRequest {
  readonly manifest: string
  readonly port?: number
  readonly times: number
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
  const { port } = request
  const milliseconds = await timed(async () => {
    for (let i = 0; i < request.times; i++) {
      if (port === undefined) await node.blobs.pullInto(into, manifest, [holder], { kind: 'bench', signal: new AbortController().signal })
      else await receive(port, into)
    }
  })
  await writeToStdout(`${JSON.stringify({ milliseconds })}\n`)
}
process.exit()

async function receive (port: number, into: Uint8Array): Promise<void> {
  let length = 0
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('data', data => {
    into.set(data, length)
    length += data.byteLength
  })
  await once(socket, 'end')
  if (length !== into.byteLength) throw new Error(`${length} bytes came of ${into.byteLength}`)
}
