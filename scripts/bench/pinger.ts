import '../../src/cli/stdout.js'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { multiaddr } from '@multiformats/multiaddr'
import { writeToStdout } from '../../src/cli/stdout.js'
import { ColaNode } from '../../src/node/node.js'

/** A node in a process of its own that pings another one, for so many milliseconds as each line says. Answers with the round trips. */

/** Between two pings, in milliseconds. */
const PAUSE = 5

const [folder, address] = process.argv.slice(2)
const node = await ColaNode.start({ folder, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, localFolder: false })
const target = multiaddr(address)
await node.mesh.dial(target)
await writeToStdout(`${JSON.stringify({ pings: address })}\n`)

for await (const line of createInterface({ input: process.stdin })) {
  const end = performance.now() + Number(line)
  const roundTrips: number[] = []
  const failures: string[] = []
  while (performance.now() < end) {
    try {
      roundTrips.push(await node.mesh.services.ping.ping(target))
    } catch (error) {
      failures.push(String(error))
    }
    await delay(PAUSE)
  }
  await writeToStdout(`${JSON.stringify({ roundTrips, failures })}\n`)
}
process.exit()
