import { setImmediate as turn } from 'node:timers/promises'
import { InvalidDataError, InvalidOptionError } from '../errors.js'
import { acceptedRow, type Document, type TextTask } from './document.js'
import { readDocuments } from './documents.js'
import type { RowMaker, RowSet } from './row-set.js'
import { type Example, split } from './split.js'

export interface LoadOptions {
  readonly task: TextTask
  /** Files, and folders of files, see `readDocuments`. */
  readonly paths: readonly string[]
  /** Share of the data that is never trained on, from 0 to below 1. @default 0.1 */
  readonly heldOutShare?: number
  /** Called after each piece with what is done so far, and what there is: bytes of text, or images. */
  readonly onProgress?: (done: number, total: number) => void
  /** Ends the loading, which may take minutes. */
  readonly signal?: AbortSignal
}

export interface Dataset {
  readonly train: RowSet
  readonly heldOut: RowSet
  /** Rows that lost tokens that are trained on, because they are longer than a row may be. */
  readonly truncated: number
  /** Texts, records or images that were read. */
  readonly documents: number
}

/**
 * Reads, splits and tokenises texts, always to the same rows. Other work of the process gets its turn all along.
 *
 * @param createMaker of the rows of the task
 * @throws {InvalidDataError} if a file cannot be read, the model cannot be trained on what is in it, or there is nothing
 * to train on
 * @throws {InvalidOptionError} if the held-out share, or what the rows are to be, is not possible
 */
export async function loadTexts (options: LoadOptions, createMaker: () => RowMaker<Example>): Promise<Dataset> {
  const { paths, task, heldOutShare = 0.1 } = options
  checkShare(heldOutShare)
  const [train, heldOut] = [createMaker(), createMaker()]
  const documents: Document[] = []
  for await (const document of readDocuments(paths, task)) documents.push(document)
  const sides = await split(documents, heldOutShare)
  const tokenised = progress(options, [...sides.train, ...sides.heldOut])
  await addAll(train, sides.train, tokenised)
  await addAll(heldOut, sides.heldOut, tokenised)
  const rows = train.finish()
  if (rows.count === 0) throw new InvalidDataError(`${paths.join(', ')}: nothing to train on; ${task === 'CAUSAL_LM' ? 'text of at least two tokens is' : `rows such as ${acceptedRow(task)} are`} needed`)
  return { train: rows, heldOut: heldOut.finish(), truncated: train.truncated + heldOut.truncated, documents: documents.length }
}

/** @throws {InvalidOptionError} if it is not from 0 to below 1 */
export function checkShare (heldOutShare: number): void {
  if (!(heldOutShare >= 0 && heldOutShare < 1)) {
    throw new InvalidOptionError(`a held-out share of ${heldOutShare} is not possible; use a number from 0 to below 1`)
  }
}

async function addAll (maker: RowMaker<Example>, examples: readonly Example[], tokenised: (text: string) => Promise<void>): Promise<void> {
  for (const example of examples) {
    for (const text of maker.add(example)) await tokenised(text)
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
  switch (example.kind) {
    case 'text': return example.parts
    case 'completion': return [example.prompt, example.completion]
    case 'conversation': return example.messages.map(({ content }) => content)
    case 'labelled': return [example.text, example.textPair ?? '']
    case 'translation': return [example.text, example.target]
  }
}
