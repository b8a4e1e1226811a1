import { createServer } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { pEvent } from 'p-event'
import { type Check, failed, ok } from './check.js'

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'stop what listens there (it may be a node of yours), or choose another port with --listen',
  EACCES: 'choose a port above 1023 with --listen',
  EADDRNOTAVAIL: 'this machine has no such address: choose one of its own, or /ip4/0.0.0.0/tcp/… for all of them, with --listen'
}

const FORM = 'give an address such as /ip4/0.0.0.0/tcp/4001 with --listen'

/** @param usable is told those of the addresses at which a node can listen */
export function listenCheck (addresses: readonly string[], usable: (address: string) => void): Check {
  return {
    name: 'listen',
    unended: FORM,
    look: async signal => {
      const tried = await Promise.all(addresses.map(async address => ({ address, fault: await faultOf(address, signal) })))
      for (const { address, fault } of tried) if (fault === undefined) usable(address)
      const faults = tried.flatMap(({ address, fault }) => fault === undefined ? [] : [{ address, ...fault }])
      if (faults.length === 0) return ok(`${addresses.join(', ')} ${addresses.length === 1 ? 'is' : 'are'} free`)
      return failed(faults.map(({ address, reason }) => `${address}: ${reason}`).join('; '), [...new Set(faults.map(({ advice }) => advice))].join('; '))
    }
  }
}

interface Fault {
  readonly reason: string
  readonly advice: string
}

async function faultOf (address: string, signal: AbortSignal): Promise<Fault | undefined> {
  let options: { readonly host: string, readonly port: number }
  try {
    const components = multiaddr(address).getComponents()
    const [ip, tcp] = components
    if (components.length !== 2 || !['ip4', 'ip6'].includes(ip.name) || tcp.name !== 'tcp') return { reason: 'nodes listen on IP addresses, over TCP', advice: FORM }
    options = { host: ip.value ?? '', port: Number(tcp.value) }
  } catch {
    return { reason: 'not a multiaddr', advice: FORM }
  }
  return await tryListening(options, signal)
}

async function tryListening (options: { readonly host: string, readonly port: number }, signal: AbortSignal): Promise<Fault | undefined> {
  const server = createServer()
  try {
    server.listen({ ...options, exclusive: true })
    await pEvent(server, 'listening', { signal })
    return undefined
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    return { reason: message, advice: ADVICE[code] ?? FORM }
  } finally {
    server.close()
  }
}
