import type { Connection, Libp2p, PeerId, Stream, StreamCloseEvent, StreamHandler } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import { ProtocolError } from '../errors.js'
import { Deadline, unlessAborted } from './deadline.js'
import { Admission } from './admission.js'
import type { BreachListener, ConductListener } from './bans.js'
import { DEFAULT_PEER_LIMITS, type PeerLimits } from './peer-limits.js'
import type { ByteCounter, Label } from './traffic.js'

/** What a protocol needs of a libp2p node to ask. */
export type Dialer = Pick<Libp2p, 'dialProtocol'>

/** What a protocol needs of a libp2p node to answer. */
export type Answerer = Pick<Libp2p, 'handle' | 'unhandle'>

/** Messages of known length on one stream, both ways. */
export interface Frames {
  /** @throws if the other side has closed */
  read (): Promise<Uint8Array>
  /** As `read`, in the pieces in which it came: what is long is not copied to be one. */
  readPieces (): Promise<Uint8ArrayList>
  /** As `read`, decoded: who is asked learns of which job a message is from the message, and counts it as that job's. Throws what `decode` throws. */
  readMessage<T extends OfJob> (decode: (bytes: Uint8Array) => T): Promise<T>
  /** Ends when there is room for more. @param label what the bytes are counted as, as far as it is not what all the others are */
  write (bytes: Uint8Array | Uint8ArrayList, label?: Partial<Label>): Promise<void>
}

type OfJob = Pick<Label, 'job'>

/** Its label is what the bytes are counted as. */
export interface ExchangeInit extends Label {
  /** The longest frame that is accepted, in bytes. */
  readonly maxBytes: number
  /** Frames that may wait unread. A peer that sends more is cut off. @default 1 */
  readonly maxUnread?: number
  /** How long the exchange may take between two touches of its deadline, in milliseconds. */
  readonly timeout: number
  readonly counter: ByteCounter | undefined
  /** Is told of frames that are longer than `maxBytes`, and of askers that go too far. */
  readonly breaches?: (BreachListener & Partial<ConductListener>) | undefined
}

export interface AnswererInit extends ExchangeInit {
  /** Exchanges of one peer at the same time. */
  readonly maxStreams: number
  readonly limits?: PeerLimits | undefined
}

/** What libp2p says of a frame that is longer than it may be, and of frames that nobody asked for yet. */
const TOO_LONG = new Set(['InvalidDataLengthError', 'InvalidDataLengthLengthError', 'StreamBufferError'])

/** An exchange of which fewer bytes came and went until its time ran out stood still: a link of a kilobyte a second is of no use here. */
const STANDSTILL_BYTES = 64 * 1024

/** Room for the length of a frame, in bytes. */
const LENGTH_BYTES = 8

/** How long the other side may keep a stream that is done on this side, in milliseconds: connections have few. */
const CLOSE_TIMEOUT = 5_000

/** Opens a stream to a peer for one exchange. */
export async function converse<T> (
  dialer: Dialer, peer: PeerId, protocol: string, init: ExchangeInit & { readonly signal: AbortSignal },
  exchange: (frames: Frames, deadline: Deadline) => Promise<T>
): Promise<T> {
  const deadline = new Deadline(init.timeout, `${protocol} of ${peer.toString()}`, init.signal)
  const { signal } = deadline
  let stream: Stream | undefined
  try {
    stream = await dialer.dialProtocol(peer, protocol, { signal })
    const result = await exchange(framesOf(stream, peer, init, signal), deadline)
    await stream.close({ signal })
    release(stream)
    return result
  } catch (error) {
    const reason = signal.aborted ? signal.reason as Error : asError(error)
    stream?.abort(reason)
    throw reason
  } finally {
    deadline.clear()
  }
}

/**
 * Answers a protocol: one call of `exchange` a stream, and no more of them than a peer may have. Its deadline also ends when the asker
 * goes away.
 */
export function answerer (
  init: AnswererInit, exchange: (frames: Frames, peer: PeerId, deadline: Deadline, connection: Connection) => Promise<void>
): StreamHandler {
  const { maxStreams, limits = DEFAULT_PEER_LIMITS, kind, breaches } = init
  const admission = new Admission({ maxStreams, perSecond: limits.exchanges, kind, breaches })
  const timeout = Math.min(init.timeout, limits.standstill)
  return async (stream, connection) => {
    const { remotePeer } = connection
    if (!admission.enter(remotePeer)) {
      stream.abort(new ProtocolError(`more exchanges of ${kind} than a peer may have`))
      return
    }
    const deadline = new MeteredDeadline(timeout, `an answer to ${remotePeer.toString()}`)
    const { signal } = deadline
    const began = Date.now()
    stream.addEventListener('message', ({ data }) => { deadline.bytes += data.byteLength })
    stream.addEventListener('close', () => deadline.abort(new ProtocolError('the asker went away')), { once: true })
    try {
      await exchange(framesOf(stream, remotePeer, init, signal, deadline), remotePeer, deadline, connection)
      await stream.close({ signal })
      release(stream)
    } catch (thrown) {
      const error = asError(thrown)
      stream.log('%p: %s', remotePeer, error)
      stream.abort(error)
      const isLate = signal.aborted && (signal.reason as Error).name === 'TimeoutError'
      if (isLate && deadline.bytes < STANDSTILL_BYTES) breaches?.standstill?.(remotePeer, `exchanges of ${kind} that stand still, one after the other`, began)
    } finally {
      deadline.clear()
      admission.leave(remotePeer)
    }
  }
}

/** Knows how many bytes have come, in frames or parts of them, and gone since it was touched. */
class MeteredDeadline extends Deadline {
  bytes = 0

  override touch (): void {
    this.bytes = 0
    super.touch()
  }
}

function framesOf (stream: Stream, peer: PeerId, { maxBytes, maxUnread = 1, kind, job, counter, breaches }: ExchangeInit, signal: AbortSignal, meter = { bytes: 0 }): Frames {
  const prefixed = lpStream(stream, { maxDataLength: maxBytes, maxBufferSize: maxUnread * (maxBytes + LENGTH_BYTES) })
  const next = async (): Promise<Uint8ArrayList> => await prefixed.read({ signal }).catch((error: unknown) => {
    if (TOO_LONG.has((error as Error).name)) breaches?.breach(peer, `more than ${maxUnread === 1 ? 'a frame' : `${maxUnread} frames`} of ${kind} of ${maxBytes} bytes at once`)
    throw error
  })
  const received = (bytes: number, ofJob = job): void => counter?.count({ kind, job: ofJob, direction: 'received', bytes, peer })
  const readPieces = async (): Promise<Uint8ArrayList> => {
    const pieces = await next()
    received(pieces.byteLength)
    return pieces
  }
  return {
    readPieces,
    read: async () => (await readPieces()).subarray(),
    async readMessage (decode) {
      const bytes = (await next()).subarray()
      let ofJob: string | undefined
      try {
        const message = decode(bytes)
        ofJob = message.job
        return message
      } finally {
        received(bytes.byteLength, ofJob) // whatever it is
      }
    },
    async write (bytes, label) {
      await unlessAborted(prefixed.write(bytes), signal) // each wait for room would leave a listener on the signal
      meter.bytes += bytes.byteLength
      counter?.count({ kind, job, ...label, direction: 'sent', bytes: bytes.byteLength, peer })
    }
  }
}

/** A stream that closes while somebody waits to write has them fail with the event of its closing. */
function asError (thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  const { error } = thrown as Partial<StreamCloseEvent>
  return error ?? new ProtocolError('the other side closed the stream')
}

function release (stream: Stream): void {
  if (stream.status === 'closed') return
  const timer = setTimeout(() => stream.abort(new ProtocolError('the other side does not close')), CLOSE_TIMEOUT).unref()
  stream.addEventListener('close', () => clearTimeout(timer), { once: true })
}
