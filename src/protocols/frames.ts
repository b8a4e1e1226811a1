import type { Libp2p, PeerId, Stream, StreamCloseEvent, StreamHandler } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import { ProtocolError } from '../errors.js'
import { Deadline } from './deadline.js'
import type { BreachListener } from './bans.js'
import type { ByteCounter } from './traffic.js'

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
  /** Ends when there is room for more. @param kind what the bytes are counted as, if not as all the others */
  write (bytes: Uint8Array | Uint8ArrayList, kind?: string): Promise<void>
}

export interface ExchangeInit {
  /** The longest frame that is accepted, in bytes. */
  readonly maxBytes: number
  /** Frames that may wait unread. A peer that sends more is cut off. @default 1 */
  readonly maxUnread?: number
  /** How long the exchange may take between two touches of its deadline, in milliseconds. */
  readonly timeout: number
  /** What the bytes are counted as. */
  readonly kind: string
  readonly counter: ByteCounter | undefined
  /** Is told of frames that are longer than `maxBytes`. */
  readonly breaches?: BreachListener | undefined
}

/** What libp2p says of a frame that is longer than it may be, and of frames that nobody asked for yet. */
const TOO_LONG = new Set(['InvalidDataLengthError', 'InvalidDataLengthLengthError', 'StreamBufferError'])

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

/** Answers a protocol: one call of `exchange` a stream. Its deadline also ends when the asker goes away. */
export function answerer (
  init: ExchangeInit, exchange: (frames: Frames, peer: PeerId, deadline: Deadline) => Promise<void>
): StreamHandler {
  return async (stream, { remotePeer }) => {
    const deadline = new Deadline(init.timeout, `an answer to ${remotePeer.toString()}`)
    const { signal } = deadline
    stream.addEventListener('close', () => deadline.abort(new ProtocolError('the asker went away')), { once: true })
    try {
      await exchange(framesOf(stream, remotePeer, init, signal), remotePeer, deadline)
      await stream.close({ signal })
      release(stream)
    } catch (thrown) {
      const error = asError(thrown)
      stream.log('%p: %s', remotePeer, error)
      stream.abort(error)
    } finally {
      deadline.clear()
    }
  }
}

function framesOf (stream: Stream, peer: PeerId, { maxBytes, maxUnread = 1, kind, counter, breaches }: ExchangeInit, signal: AbortSignal): Frames {
  const prefixed = lpStream(stream, { maxDataLength: maxBytes, maxBufferSize: maxUnread * (maxBytes + LENGTH_BYTES) })
  const readPieces = async (): Promise<Uint8ArrayList> => {
    const pieces = await prefixed.read({ signal }).catch((error: unknown) => {
      if (TOO_LONG.has((error as Error).name)) breaches?.breach(peer, `more than ${maxUnread === 1 ? 'a frame' : `${maxUnread} frames`} of ${kind} of ${maxBytes} bytes at once`)
      throw error
    })
    counter?.count(kind, 'received', pieces.byteLength, peer)
    return pieces
  }
  return {
    readPieces,
    read: async () => (await readPieces()).subarray(),
    async write (bytes, countedAs = kind) {
      await prefixed.write(bytes, { signal })
      counter?.count(countedAs, 'sent', bytes.byteLength, peer)
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
