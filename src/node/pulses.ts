import type { PeerId } from '@libp2p/interface'
import { ProtocolError } from '../errors.js'
import type { ByteCounter, Counted } from '../protocols/traffic.js'

/** How often a peer that is waited for is asked for a sign of life, in milliseconds. */
const BEAT = 1_000

/** After so many beats without a sign it is waited for no longer. */
const MISSED = 6

export interface PulsesInit {
  /** Ends when the peer has answered. */
  readonly ping: (peer: PeerId, options: { readonly signal: AbortSignal }) => Promise<unknown>
  /** Is told on of every message. */
  readonly counter: ByteCounter
  /** In milliseconds. @default 1_000 */
  readonly beat?: number
}

/**
 * Whether peers that are waited for are still there. How long a pass takes nobody knows, but a host computes on another thread than
 * that on which it answers: one that answers is busy, and one that does not is gone, though its connection be open, as when its
 * machine was cut off or its process hangs. A sign is an answer to a ping, or any message, behind which pings may wait.
 *
 * Time in which this process itself was busy counts as one beat.
 */
export class Pulses implements ByteCounter {
  readonly #init: PulsesInit
  readonly #felt = new Map<string, Pulse>()

  constructor (init: PulsesInit) {
    this.#init = init
  }

  count (counted: Counted): void {
    this.#init.counter.count(counted)
    if (counted.direction === 'received') this.#felt.get(counted.peer.toString())?.sign()
  }

  /**
   * Does what waits for a peer. The signal that it is given ends with the other, or when the peer gives no sign of life.
   *
   * @throws {ProtocolError} as the signal's reason, if it gives none
   */
  async during<T> (peer: PeerId, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const pulse = this.#pulseOf(peer)
    pulse.waiting++
    try {
      return await work(AbortSignal.any([signal, pulse.signal]))
    } finally {
      if (--pulse.waiting === 0) this.#drop(peer, pulse)
    }
  }

  #pulseOf (peer: PeerId): Pulse {
    const known = this.#felt.get(peer.toString())
    if (known !== undefined) return known
    const pulse = new Pulse(peer, this.#init, () => this.#drop(peer, pulse))
    this.#felt.set(peer.toString(), pulse)
    return pulse
  }

  #drop (peer: PeerId, pulse: Pulse): void {
    pulse.stop()
    if (this.#felt.get(peer.toString()) === pulse) this.#felt.delete(peer.toString())
  }
}

class Pulse {
  /** How many wait for the peer. */
  waiting = 0
  readonly #peer: PeerId
  readonly #ping: PulsesInit['ping']
  readonly #timer: NodeJS.Timeout
  readonly #silent = new AbortController()
  readonly #stopped = new AbortController()
  readonly #onSilence: () => void
  #missed = 0
  #asked = false

  constructor (peer: PeerId, { ping, beat = BEAT }: PulsesInit, onSilence: () => void) {
    this.#peer = peer
    this.#ping = ping
    this.#onSilence = onSilence
    this.#timer = setInterval(() => this.#beat(beat), beat)
  }

  get signal (): AbortSignal {
    return this.#silent.signal
  }

  sign (): void {
    this.#missed = 0
  }

  stop (): void {
    clearInterval(this.#timer)
    this.#stopped.abort()
  }

  #beat (beat: number): void {
    if (this.#missed === MISSED) {
      this.#onSilence()
      this.#silent.abort(new ProtocolError(`${this.#peer.toString()} has given no sign of life for ${(MISSED + 1) * beat / 1000} s`))
      return
    }
    this.#missed++
    if (!this.#asked) this.#ask()
  }

  #ask (): void {
    this.#asked = true
    const answered = (): void => { this.#asked = false }
    this.#ping(this.#peer, { signal: this.#stopped.signal }).then(() => {
      answered()
      this.sign()
    }, answered)
  }
}
