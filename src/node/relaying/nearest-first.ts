import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Address } from '@libp2p/interface'
import { getNetConfig, isLoopback, isPrivate, publicAddressesFirst } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isRelayed } from './relayed.js'

/**
 * In which order a peer's addresses are dialled: as libp2p has it, but those of private networks that this machine is not in
 * come after the way through a relay, since from elsewhere most lead nowhere and cost seconds.
 */
export function nearestFirst (a: Address, b: Address): -1 | 0 | 1 {
  const farther = distance(a.multiaddr) - distance(b.multiaddr)
  const surer = Number(b.isCertified) - Number(a.isCertified)
  return (Math.sign(farther) || publicAddressesFirst(a.multiaddr, b.multiaddr) || Math.sign(surer)) as -1 | 0 | 1
}

/** Whether an address of a peer is likely to lead there, directly or through a relay. */
export function isPromising (address: Multiaddr): boolean {
  return distance(address) <= 1
}

function distance (address: Multiaddr): number {
  if (isRelayed(address)) return 1
  if (isLoopback(address)) return 3
  return isPrivate(address) && !isHere(address) ? 2 : 0
}

/** Whether an address is of a network that this machine is in. */
function isHere (address: Multiaddr): boolean {
  const { host } = getNetConfig(address)
  const networks = new BlockList()
  for (const { cidr, family } of Object.values(networkInterfaces()).flat().filter(found => found !== undefined)) {
    if (cidr === null) continue
    const [ip, bits] = cidr.split('/')
    networks.addSubnet(ip, Number(bits), family === 'IPv6' ? 'ipv6' : 'ipv4')
  }
  return networks.check(host, isIPv6(host) ? 'ipv6' : 'ipv4')
}
