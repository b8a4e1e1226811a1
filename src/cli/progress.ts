/** How often a bar is drawn again at most, in milliseconds: the eye sees no more. */
const REDRAW_INTERVAL = 100

/** How often a line is written at most where there is no terminal, in milliseconds: logs are read afterwards. */
const LINE_INTERVAL = 2_000

/** Characters between the brackets. */
const BAR_WIDTH = 24

/** Columns of a terminal that does not say. */
const DEFAULT_COLUMNS = 80

/** What is needed of standard error. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write (text: string): unknown
}

export interface MeterOptions {
  /** How much there is to do; undefined where nobody knows. */
  readonly total?: number | undefined
  /** How much was done before, so that a resumed job promises no miracles. @default 0 */
  readonly from?: number
}

/** One piece of work that people watch. */
export interface Meter {
  /**
   * @param done how much is done now, in the unit of `total`
   * @param note what else there is to say, such as `loss 3.214  812 tokens/s`
   */
  update (done: number, note?: string): void
  /** Shows the last state, whatever became of the work, and leaves it there. */
  end (): void
}

/**
 * Shows how far work is: a bar that is drawn again and again on a terminal, a line now and then elsewhere. Everything
 * else that is said goes through `line`, so that the bar stays the last line.
 */
export class Progress {
  readonly #stream: ProgressStream
  readonly #now: () => number
  /** The bar that stands on the terminal's last line. */
  #shown = ''

  /** @param now in milliseconds */
  constructor (stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#now = now
  }

  /** @param label what is being done, such as `train` */
  start (label: string, { total, from = 0 }: MeterOptions = {}): Meter {
    const begun = this.#now()
    const interval = this.#stream.isTTY === true ? REDRAW_INTERVAL : LINE_INTERVAL
    let [drawn, unseen, ended] = [-Infinity, false, false]
    let state = { done: from, note: '' }
    const draw = (): void => {
      drawn = this.#now()
      unseen = false
      this.#draw(describe(label, { ...state, from, total, elapsed: drawn - begun }, this.#stream.isTTY === true))
    }
    return {
      update: (done, note = '') => {
        state = { done, note }
        unseen = true
        if (!ended && this.#now() - drawn >= interval) draw()
      },
      end: () => {
        if (ended) return
        ended = true
        if (unseen || this.#shown !== '') draw()
        this.#leave()
      }
    }
  }

  /** Writes a line of its own. */
  line (text: string): void {
    const bar = this.#shown
    this.#clear()
    this.#stream.write(`${text}\n`)
    if (bar !== '') this.#draw(bar)
  }

  #draw (text: string): void {
    if (this.#stream.isTTY !== true) {
      this.#stream.write(`${text}\n`)
      return
    }
    this.#clear()
    this.#shown = text.slice(0, (this.#stream.columns ?? DEFAULT_COLUMNS) - 1)
    this.#stream.write(this.#shown)
  }

  #leave (): void {
    if (this.#shown !== '') this.#stream.write('\n')
    this.#shown = ''
  }

  #clear (): void {
    if (this.#shown !== '') this.#stream.write('\r\u001b[2K')
    this.#shown = ''
  }
}

interface State {
  readonly done: number
  readonly from: number
  readonly total: number | undefined
  readonly note: string
  /** In milliseconds. */
  readonly elapsed: number
}

function describe (label: string, { done, from, total, note, elapsed }: State, bar: boolean): string {
  const parts = [label]
  if (total === undefined) {
    parts.push(String(done), clock(elapsed))
  } else {
    const share = total === 0 ? 1 : Math.min(done / total, 1)
    const filled = Math.round(share * BAR_WIDTH)
    if (bar) parts.push(`[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`)
    parts.push(`${done}/${total}`, `${Math.floor(share * 100)} %`, clock(elapsed))
    if (done > from && done < total) parts.push(`ETA ${clock(elapsed / (done - from) * (total - done))}`)
  }
  if (note !== '') parts.push(note)
  return parts.join('  ')
}

/** `m:ss`, or `h:mm:ss`. */
function clock (milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return h === 0 ? `${m}:${two(s)}` : `${h}:${two(m)}:${two(s)}`
}

function two (value: number): string {
  return String(value).padStart(2, '0')
}
