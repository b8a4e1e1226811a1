import { dequantize, quantize, type Quantized } from './quantize.js'

/** Rounds a tensor that is summed over steps, by its name. */
export type Round = (name: string, values: Float32Array) => Quantized

/** What roundings have left out, by name. */
type Left = ReadonlyMap<string, Float32Array>

interface Entry {
  readonly step: number
  readonly before: Left
  readonly after: Map<string, Float32Array>
}

/** Of remainders that are kept, in bytes. Those that were used least lately go first: of each a single rounding is lost. */
const MAX_BYTES = 256 * 1024 * 1024

/**
 * Error feedback (Seide et al. 2014, 1-bit SGD; Karimireddy et al. 2019, arXiv 1901.09847, algorithm 1): what rounding leaves out
 * of a step's tensor is added to the next step's before that is rounded. So all that was sent adds up to all that was to be sent, but for the
 * last remainder, however many steps there are.
 */
export class Remainders {
  /** By whose they are, from what was used least lately. */
  readonly #entries = new Map<string, Entry>()

  /**
   * Rounds the tensors of a step. A step that is tried again is rounded as at first; one that comes before the latest begins anew.
   *
   * @param key whose tensors they are
   */
  at (key: string, step: number): Round {
    const latest = this.#entries.get(key)
    const before: Left = latest === undefined || step < latest.step ? new Map() : step === latest.step ? latest.before : latest.after
    const entry = { step, before, after: new Map<string, Float32Array>() }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return (name, values) => {
      const left = before.get(name)
      const whole = left?.length === values.length ? values.map((value, i) => value + left[i]) : values
      const rounded = quantize('int8', whole)
      if (rounded.scales.every(Number.isFinite)) {
        entry.after.set(name, difference(whole, dequantize('int8', rounded, whole.length)))
        this.#forget()
      }
      return rounded
    }
  }

  #forget (): void {
    let bytes = [...this.#entries.values()].reduce((sum, { before, after }) => sum + bytesOf(before) + bytesOf(after), 0)
    for (const [key, { before, after }] of this.#entries) {
      if (bytes <= MAX_BYTES || this.#entries.size === 1) return
      this.#entries.delete(key)
      bytes -= bytesOf(before) + bytesOf(after)
    }
  }
}

function difference (values: Float32Array, others: Float32Array): Float32Array {
  return values.map((value, i) => value - others[i])
}

function bytesOf (left: Left): number {
  return [...left.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
}
