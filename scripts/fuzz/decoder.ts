/** What a valid message is made of, so that it can be damaged without only being noise. */
export type Form = 'cbor' | 'safetensors'

/** A valid message. */
export interface Sample {
  readonly form: Form
  readonly bytes: Uint8Array
  /**
   * Reads it, or what has become of it, as a node does.
   *
   * @throws an error of `src/errors.ts`, for what is refused; any other error breaks the rule
   */
  readonly decode: (bytes: Uint8Array) => Promise<void> | void
}

/** One kind of messages that a node reads from peers, or finds on disk. */
export interface Decoder {
  readonly name: string
  /** Another valid message with each call. */
  readonly sample: (source: Source) => Promise<Sample> | Sample
}

/** What samples are drawn from. */
export interface Source {
  readonly random: () => number
  /** Is gone afterwards, for what is read from files. */
  readonly folder: string
}

/** A decoder took what is not valid. */
export class InvalidAcceptedError extends Error {
  override readonly name = 'InvalidAcceptedError'
}
