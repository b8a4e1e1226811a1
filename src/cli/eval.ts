import { heldOutBatches } from '../data/batches.js'
import { loadData } from '../data/load.js'
import { openEngine } from '../engine/open-engine.js'
import { readAdapter } from '../gl/peft.js'
import { BaseModel } from '../model/base-model.js'
import { loadTokenizer } from '../model/tokenizer.js'
import { rowLength } from '../node/row-length.js'
import type { Batch } from '../types.js'
import { adapterChanges } from './adapter-changes.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { terminalReporter } from './reporter.js'

/** How well a model predicts text, with an adapter or without. */
export const evaluation = defineCommand({
  command: 'eval',
  describe: 'Loss and perplexity of a model on data, with an adapter or without',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet)' },
    data: { type: 'files', required: true, describe: 'what to predict: files and folders as train takes them' },
    adapter: { type: 'string', describe: 'PEFT adapter folder' },
    batchSize: { type: 'integer', min: 1, default: 8, describe: 'rows in a batch' },
    length: { type: 'integer', min: 2, describe: 'tokens in a row (default: 128, or what the model takes)' },
    maxRows: { type: 'integer', min: 1, describe: 'the most rows, evenly spread over the data (default: all)' },
    ...ENGINE_OPTIONS
  },
  examples: [
    ['eval --data README.md', 'by the small model that comes with colanet'],
    ['eval --model ~/models/gpt2 --adapter .colanet/train/adapters/default --data notes/', 'with what was trained']
  ],
  handler: async ({ model: folder = EMBEDDED_MODEL, data, adapter: adapterFolder, batchSize, length: asked, maxRows, ...engine }, { signal, progress, report, log }) => {
    const { dtype, ...options } = engineOptions(engine)
    const tokenizer = await loadTokenizer(folder)
    const adapter = adapterFolder === undefined ? undefined : await readAdapter(adapterFolder)
    const reporter = terminalReporter({ progress, log })
    const model = await BaseModel.load(folder, async weights => await openEngine(weights, options, log), dtype)
    try {
      log(`computes on ${model.engine.description}`)
      const length = rowLength(asked, model.info)
      if (adapter !== undefined) await model.merge(adapterChanges(model, adapter))
      const { endOfText } = tokenizer
      const { train: rows } = await loadData({
        paths: data,
        heldOutShare: 0,
        length,
        encode: text => tokenizer.encode(text),
        endOfText,
        render: tokenizer.render,
        signal,
        onProgress: (done, total) => reporter.progress('tokenising', done, total)
      })
      const batches = heldOutBatches(rows, batchSize, { endOfText, ...(maxRows !== undefined && { maxRows }) })
      const { loss, tokens } = await meanLoss(model, batches, signal, done => reporter.progress('evaluating', done, batches.length))
      const perplexity = Math.exp(loss)
      await report(
        { model: model.info.id, engine: model.engine.name, loss, perplexity, tokens, rows: batches.reduce((sum, batch) => sum + batch.rows, 0) },
        `loss ${loss.toFixed(4)}, perplexity ${perplexity.toFixed(2)}, over ${tokens} tokens`
      )
    } finally {
      reporter.end()
      await model.dispose()
    }
  }
})

/** Over all tokens that count. */
async function meanLoss (model: BaseModel, batches: readonly Batch[], signal: AbortSignal, onProgress: (done: number) => void): Promise<{ loss: number, tokens: number }> {
  let sum = 0
  let counted = 0
  for (const [i, batch] of batches.entries()) {
    signal.throwIfAborted()
    const [{ loss, tokens }] = await model.pass([batch], { sites: [] })
    sum += loss * tokens
    counted += tokens
    onProgress(i + 1)
  }
  return { loss: sum / counted, tokens: counted }
}
