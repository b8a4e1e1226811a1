import type { Logger } from '@libp2p/interface'
import { AbstractStream } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'

/** Carries what one end sends to the other, in order; nothing arrives at who is gone. */
export type Wire = (arrive: () => void) => void

/** One end of a stream between two members. */
export class MemoryStream extends AbstractStream {
  readonly #wire: Wire
  #other: MemoryStream | undefined

  private constructor (id: string, protocol: string, direction: 'inbound' | 'outbound', wire: Wire) {
    super({ id, protocol, direction, log: silent() })
    this.#wire = wire
  }

  static pair (id: string, protocol: string, there: Wire, back: Wire): [outbound: MemoryStream, inbound: MemoryStream] {
    const outbound = new MemoryStream(id, protocol, 'outbound', there)
    const inbound = new MemoryStream(id, protocol, 'inbound', back)
    outbound.#other = inbound
    inbound.#other = outbound
    return [outbound, inbound]
  }

  sendData (data: Uint8ArrayList): { sentBytes: number, canSendMore: boolean } {
    const bytes = data.slice() // the list is emptied
    this.#wire(() => this.#other?.onData(bytes))
    return { sentBytes: bytes.byteLength, canSendMore: true }
  }

  sendReset (): void { this.#wire(() => this.#other?.onRemoteReset()) }

  async sendCloseWrite (): Promise<void> {
    this.#wire(() => this.#other?.onRemoteCloseWrite())
    await Promise.resolve()
  }

  async sendCloseRead (): Promise<void> {
    this.#wire(() => this.#other?.onRemoteCloseRead())
    await Promise.resolve()
  }

  sendPause (): void {}
  sendResume (): void {}
}

function silent (): Logger {
  return Object.assign(() => {}, { enabled: false, error: () => {}, trace: () => {}, newScope: silent })
}
