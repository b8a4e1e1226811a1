import { setImmediate as turn } from 'node:timers/promises'
import { InvalidDataError, InvalidOptionError } from '../errors.js'
import type { Document } from './document.js'
import { readDocuments } from './documents.js'
import { type EncodedRow, RowMaker, type RowOptions } from './rows.js'
import { type Example, split } from './split.js'

export interface LoadOptions extends RowOptions {
  /** Files, and folders of files, see `readDocuments`. */
  readonly paths: readonly string[]
  /** Share of the data that is never trained on, from 0 to below 1. @default 0.1 */
  readonly heldOutShare?: number
  /** Called after each piece of text with the bytes tokenised so far, and those there are. */
  readonly onProgress?: (done: number, total: number) => void
  /** Ends the tokenising, which may take minutes. */
  readonly signal?: AbortSignal
}

export interface Dataset {
  readonly train: readonly EncodedRow[]
  readonly heldOut: readonly EncodedRow[]
  /** Completions and conversations that lost tokens of their answers because they are longer than a row. */
  readonly truncated: number
  /** Texts, completion records and conversations that were read. */
  readonly documents: number
}

/**
 * Reads, splits and tokenises, always to the same rows. Other work of the process gets its turn all along.
 *
 * @throws {InvalidDataError} if a file cannot be read, the model cannot be trained on its conversations, or there is
 * nothing to train on
 * @throws {InvalidOptionError} if the length or the held-out share is not possible
 */
export async function loadData (options: LoadOptions): Promise<Dataset> {
  const { paths, heldOutShare = 0.1 } = options
  checkOptions(options.length, heldOutShare)
  const documents: Document[] = []
  for await (const document of readDocuments(paths)) documents.push(document)
  const sides = await split(documents, heldOutShare)
  const tokenised = progress(options, [...sides.train, ...sides.heldOut])
  const train = new RowMaker(options)
  const heldOut = new RowMaker(options)
  await addAll(train, sides.train, tokenised)
  await addAll(heldOut, sides.heldOut, tokenised)
  const rows = train.finish()
  if (rows.length === 0) throw new InvalidDataError(`${paths.join(', ')}: nothing to train on; text of at least two tokens is needed`)
  return { train: rows, heldOut: heldOut.finish(), truncated: train.truncated + heldOut.truncated, documents: documents.length }
}

async function addAll (maker: RowMaker, examples: readonly Example[], tokenised: (text: string) => Promise<void>): Promise<void> {
  for (const example of examples) {
    if (example.kind === 'text') {
      for (const part of example.parts) {
        maker.addText(part)
        await tokenised(part)
      }
      maker.endText()
      continue
    }
    if (example.kind === 'completion') {
      maker.addCompletion(example.prompt, example.completion)
    } else {
      maker.addConversation(example.messages, example.source)
    }
    for (const text of textsOf(example)) await tokenised(text)
  }
}

/** What to do after each text: count it, tell of it, and give way. */
function progress ({ onProgress, signal }: LoadOptions, examples: readonly Example[]): (text: string) => Promise<void> {
  const total = examples.reduce((sum, example) => sum + bytesOf(example), 0)
  let done = 0
  return async text => {
    done += Buffer.byteLength(text)
    onProgress?.(done, total)
    await turn(undefined, { signal })
  }
}

function bytesOf (example: Example): number {
  return textsOf(example).reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

function textsOf (example: Example): readonly string[] {
  if (example.kind === 'text') return example.parts
  return [example.kind === 'completion' ? example.prompt + example.completion : example.messages.map(({ content }) => content).join('')]
}

function checkOptions (length: number, heldOutShare: number): void {
  if (!Number.isSafeInteger(length) || length < 2) {
    throw new InvalidOptionError(`rows of ${length} tokens are not possible; use a whole number from 2`)
  }
  if (!(heldOutShare >= 0 && heldOutShare < 1)) {
    throw new InvalidOptionError(`a held-out share of ${heldOutShare} is not possible; use a number from 0 to below 1`)
  }
}
