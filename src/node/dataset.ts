import { loadImages } from '../data/images/image-rows.js'
import { parseImageProcessor } from '../data/images/image-processor.js'
import { LabelledRowMaker } from '../data/labelled-rows.js'
import { type Dataset, type LoadOptions, loadTexts } from '../data/load.js'
import type { RowMaker } from '../data/row-set.js'
import type { Example } from '../data/split.js'
import { TokenRowMaker } from '../data/token-rows.js'
import { TranslationRowMaker } from '../data/translation-rows.js'
import { InvalidModelError, InvalidOptionError } from '../errors.js'
import type { Tokenizer } from '../model/tokenizer.js'
import type { Task } from '../types.js'
import type { ModelSource } from './model-source.js'
import { rowLength } from './row-length.js'

export interface DatasetOptions extends Omit<LoadOptions, 'task'> {
  /** Tokens in a row: what was asked for, see `rowLength`. */
  readonly length?: number
}

/**
 * What people train on, as rows for their model.
 *
 * @throws {InvalidDataError} if a file cannot be read, or is no data for this model
 * @throws {InvalidModelError} if the model lacks a file that says how data become its input
 * @throws {InvalidOptionError} if rows would be longer than the model's positions
 */
export async function loadDataset (source: ModelSource, { length: asked, ...options }: DatasetOptions): Promise<Dataset> {
  const { info: { task, labels, image } } = source
  if (task === 'IMAGE_CLS') {
    if (asked !== undefined) throw new InvalidOptionError('--length is of texts, and this model takes images, all of one size; leave it out')
    if (image === undefined) throw new InvalidModelError('the model does not say what images it takes')
    return await loadImages({ ...options, labels, processor: parseImageProcessor(await source.file(PROCESSOR_FILE), PROCESSOR_FILE, image) })
  }
  const length = rowLength(asked, source.info)
  const tokenizer = await source.tokenizer()
  return await loadTexts({ ...options, task }, () => rowMaker(task, tokenizer, length, labels))
}

export const PROCESSOR_FILE = 'preprocessor_config.json'

function rowMaker (task: Exclude<Task, 'IMAGE_CLS'>, tokenizer: Tokenizer, length: number, labels: readonly string[]): RowMaker<Example> {
  const { endOfText, render, padding = 0 } = tokenizer
  const whole = { encodeWhole: tokenizer.encodeWhole.bind(tokenizer), padding, length }
  switch (task) {
    case 'CAUSAL_LM': return new TokenRowMaker({ encode: text => tokenizer.encode(text), render, endOfText, length })
    case 'SEQ_CLS': return new LabelledRowMaker({ ...whole, labels })
    case 'SEQ_2_SEQ_LM': return new TranslationRowMaker(whole)
  }
}
