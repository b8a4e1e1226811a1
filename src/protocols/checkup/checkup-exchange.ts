import type { Connection, Libp2p, PeerId, Startable } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Deadline } from '../deadline.js'
import { describeDialError } from '../dial-error.js'
import { type Answerer, answerer, converse, type Dialer, type Frames } from '../frames.js'
import { decodeMessage, encodeMessage } from '../message.js'
import type { ConductListener } from '../bans.js'
import type { PeerLimits } from '../peer-limits.js'
import type { ByteCounter } from '../traffic.js'
import { CHECKUP_PROTOCOL, DIAL_TIMEOUT, MAX_ANSWER_BYTES, MAX_INBOUND_STREAMS, MAX_PORTS, MAX_REASON, MAX_REQUEST_BYTES, TIMEOUT } from './constants.js'
import { answerSchema, type Checkup, requestSchema } from './schema.js'

export type CheckupComponents = Answerer & Dialer & Pick<Libp2p, 'dial'>

export interface CheckupInit {
  readonly counter?: ByteCounter
  readonly breaches?: ConductListener
  readonly limits?: PeerLimits
  /** The clock that is told, in milliseconds since 1970. @default Date.now */
  readonly now?: () => number
}

export class CheckupExchange implements Startable {
  readonly #components: CheckupComponents
  readonly #now: () => number
  readonly #exchange: { readonly timeout: number, readonly kind: string, readonly counter: ByteCounter | undefined, readonly breaches: ConductListener | undefined }
  readonly #limits: PeerLimits | undefined

  constructor (components: CheckupComponents, { counter, breaches, limits, now = Date.now }: CheckupInit) {
    this.#components = components
    this.#now = now
    this.#exchange = { timeout: TIMEOUT, kind: 'checkup', counter, breaches }
    this.#limits = limits
  }

  async start (): Promise<void> {
    const handler = answerer({ ...this.#exchange, maxBytes: MAX_REQUEST_BYTES, maxStreams: MAX_INBOUND_STREAMS, limits: this.#limits }, this.#onStream)
    await this.#components.handle(CHECKUP_PROTOCOL, handler, { maxInboundStreams: MAX_INBOUND_STREAMS })
  }

  async stop (): Promise<void> {
    await this.#components.unhandle(CHECKUP_PROTOCOL)
  }

  async ask (peer: PeerId, ports: readonly number[], { signal }: { readonly signal: AbortSignal }): Promise<Checkup> {
    const init = { ...this.#exchange, maxBytes: MAX_ANSWER_BYTES, signal }
    return await converse(this.#components, peer, CHECKUP_PROTOCOL, init, async frames => {
      await frames.write(encodeMessage({ ports: ports.slice(0, MAX_PORTS) }))
      return decodeMessage(answerSchema, await frames.read())
    })
  }

  /** The time is taken last, so that it is not older than the answer. */
  readonly #onStream = async (frames: Frames, remotePeer: PeerId, _: Deadline, { remoteAddr }: Connection): Promise<void> => {
    const { ports } = decodeMessage(requestSchema, await frames.read())
    const ip = addressOf(remoteAddr)
    const dialled = ip === undefined ? [] : await Promise.all([...new Set(ports)].map(async port => ({ port, error: await this.#dial(ip, port, remotePeer) })))
    await frames.write(encodeMessage({ time: this.#now(), from: ip?.value ?? null, dialled }))
  }

  /** Over a connection of its own, as that peer is connected already. @returns null, or what went wrong */
  async #dial ({ name, value }: IpAddress, port: number, peer: PeerId): Promise<string | null> {
    try {
      const address = multiaddr(`/${name}/${value}/tcp/${port}/p2p/${peer.toString()}`)
      const connection = await this.#components.dial(address, { force: true, signal: AbortSignal.timeout(DIAL_TIMEOUT) })
      await connection.close({ signal: AbortSignal.timeout(DIAL_TIMEOUT) }).catch((error: unknown) => connection.abort(error as Error))
      return null
    } catch (error) {
      return describeDialError(error).slice(0, MAX_REASON)
    }
  }
}

interface IpAddress {
  readonly name: string
  readonly value: string
}

function addressOf (address: Multiaddr): IpAddress | undefined {
  const components = address.getComponents()
  if (components.some(({ name }) => name === 'p2p-circuit')) return undefined
  const ip = components.find(({ name }) => name === 'ip4' || name === 'ip6')
  return ip?.value === undefined ? undefined : { name: ip.name, value: ip.value }
}
