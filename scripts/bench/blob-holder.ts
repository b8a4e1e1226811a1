import '../../src/cli/stdout.js'
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { createServer as createTlsServer } from 'node:tls'
import { writeToStdout } from '../../src/cli/stdout.js'
import { ColaNode } from '../../src/node/node.js'
import { encodeMessage } from '../../src/protocols/message.js'
import { TLS, TLS_KEY } from './tls.js'

/** A node that holds a blob of so many bytes as the first line says, and gives the same bytes to whoever connects to a bare TCP port, or to one with TLS. */
const [folder] = process.argv.slice(2)
const node = await ColaNode.start({ folder, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, localFolder: false })
let bytes = new Uint8Array()
const give = (socket: Socket): void => {
  socket.on('error', () => {}) // the other side has gone
  socket.end(bytes)
}
const tcp = await portOf(createServer(give))
const tls = await portOf(createTlsServer({ ...TLS, pskCallback: () => TLS_KEY }, give))
const [address] = node.mesh.getMultiaddrs().map(String)
await writeToStdout(`${JSON.stringify({ address, tcp, tls })}\n`)

for await (const line of createInterface({ input: process.stdin })) {
  bytes = randomFillSync(new Uint8Array(Number(line)))
  const manifest = node.store.put(bytes, 'bench')
  await writeToStdout(`${JSON.stringify(Buffer.from(encodeMessage(manifest)).toString('base64'))}\n`)
}
process.exit()

async function portOf (server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
