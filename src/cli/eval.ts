import { heldOutBatches } from '../data/batches.js'
import { openEngine } from '../engine/open-engine.js'
import { InvalidOptionError } from '../errors.js'
import { readAdapters } from '../gl/peft/read-adapter.js'
import type { Metrics } from '../metrics/task-metrics.js'
import { BaseModel } from '../model/base-model.js'
import type { Decoder } from '../model/decoder.js'
import { generate } from '../model/generate.js'
import { type GenerationConfig, readGenerationConfig } from '../model/generation-config.js'
import type { Tokenizer } from '../model/tokenizer.js'
import type { WeightForm } from '../model/weights.js'
import { loadDataset } from '../node/dataset.js'
import { type Evaluated, evaluateRows, joined, type Scores, scoresOf, type Speaker } from '../node/evaluation.js'
import { type ModelSource, sourceInFolder } from '../node/model-source.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { type LoadedAdapter, loadedAdapter, NO_ADAPTER } from './loaded-adapter.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { terminalReporter } from './reporter.js'
import { describeCost, type EvaluatedRows, quantizationCost } from './unquantized.js'

/** How well a model does on data, with an adapter or without. */
export const evaluation = defineCommand({
  command: 'eval',
  describe: 'How well a model does on data: loss, and what is usual for its task, with an adapter or without',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet)' },
    data: { type: 'files', required: true, describe: 'what to predict: files and folders as train takes them; several are told of one by one, and together' },
    adapter: { type: 'files', describe: 'PEFT adapter folder; or one for each of --data, such as those of several trainers' },
    batchSize: { type: 'integer', min: 1, default: 8, describe: 'rows in a batch' },
    length: { type: 'integer', min: 2, describe: 'tokens in a row (default: 128, or what the model takes)' },
    maxRows: { type: 'integer', min: 1, describe: 'the most rows of each of --data, evenly spread over it (default: all)' },
    maxNewTokens: { type: 'integer', min: 1, default: 128, describe: 'tokens that are made of a source at most, where the model makes texts of others' },
    ...ENGINE_OPTIONS
  },
  examples: [
    ['eval --data README.md', 'by the small model that comes with colanet'],
    ['eval --model ~/models/gpt2 --adapter .colanet/train/adapters/default --data notes/', 'with what was trained'],
    ['eval --model roberta --data anna.csv ben.csv --adapter anna ben', 'two trainers, each with its own adapter']
  ],
  handler: async ({ model: folder = EMBEDDED_MODEL, data, adapter: adapterFolders = [], batchSize, length, maxRows, maxNewTokens, ...engine }, { signal, progress, report, log }) => {
    const { dtype, baseQuantize, ...options } = engineOptions(engine)
    if (adapterFolders.length > 1 && adapterFolders.length !== data.length) {
      throw new InvalidOptionError(`--adapter names ${adapterFolders.length} folders and --data ${data.length} paths; use one adapter, or one for each of the data`)
    }
    const adapters = await Promise.all(adapterFolders.map(async path => await readAdapters(path)))
    const reporter = terminalReporter({ progress, log })
    const load = async (form: WeightForm): Promise<BaseModel> => await BaseModel.load(folder, async weights => await openEngine(weights, options, log), form)
    const model = await load({ dtype, baseQuantize })
    try {
      log(`computes on ${model.engine.description}`)
      const source = sourceInFolder(folder, model.info)
      const speakerOf = model.info.task === 'SEQ_2_SEQ_LM' ? await speakers(model, source, folder, maxNewTokens, signal) : undefined
      const parts: Part[] = []
      for (const [i, path] of data.entries()) {
        const of = data.length === 1 ? '' : ` ${path}`
        const { train: rows, truncated } = await loadDataset(source, {
          paths: [path], heldOutShare: 0, ...(length !== undefined && { length }), signal, onProgress: (done, total) => reporter.progress(`reading${of}`, done, total)
        })
        if (truncated > 0) log(`${path}: ${truncated} rows were cut to fit; a greater --length takes them whole`)
        const batches = heldOutBatches(rows, batchSize, { ...(maxRows !== undefined && { maxRows }) })
        const own = adapters.length === 1 ? 0 : i
        const adapter = adapters.length === 0 ? NO_ADAPTER : await loadedAdapter(model, adapters[own])
        await model.merge(adapter.changes)
        const speaker = speakerOf?.(adapter)
        const evaluated = await evaluateRows(model, batches, { beside: adapter.beside, ...(speaker && { speaker }), signal, onProgress: done => reporter.progress(`evaluating${of}`, done, batches.count) })
        parts.push({ data: path, adapter: adapterFolders.at(own) ?? null, evaluated, batches, loaded: adapter })
      }
      const all = scoresOf(joined(parts.map(({ evaluated }) => evaluated)))
      const trainers = parts.map(({ data, adapter, evaluated }) => ({ data, adapter, ...flat(scoresOf(evaluated)) }))
      const loadUnquantized = async (): Promise<BaseModel> => {
        await model.dispose() // memory need not be enough for both
        return await load({ dtype })
      }
      const cost = baseQuantize === undefined
        ? undefined
        : await quantizationCost(loadUnquantized, parts, all.loss, { signal, onProgress: (done, total) => reporter.progress('evaluating without --base-quantize', done, total) })
      await report(
        { model: model.info.id, engine: model.engine.name, ...flat(all), ...cost, ...(parts.length === 1 ? {} : { trainers }) },
        [...(parts.length === 1 ? [] : parts.map(({ data, evaluated }) => `${data}: ${summary(scoresOf(evaluated))}`)), summary(all), ...(cost === undefined ? [] : [describeCost(cost)])].join('\n')
      )
    } finally {
      reporter.end()
      await model.dispose()
    }
  }
})

/** Some of the data, and what the model said of them. */
interface Part extends EvaluatedRows {
  readonly data: string
  readonly adapter: string | null
  readonly evaluated: Evaluated
}

/** How the model makes a text of another, greedily, with what is beside it. */
async function speakers (model: BaseModel, source: ModelSource, folder: string, maxNewTokens: number, signal: AbortSignal): Promise<(adapter: LoadedAdapter) => Speaker> {
  const [tokenizer, config] = await Promise.all([source.tokenizer(), readGenerationConfig(folder)])
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true })
  return ({ beside }) => ({ decode, say: async ids => decode(await answer(model.decoder(beside?.(1)), ids, tokenizer, config, maxNewTokens, signal)) })
}

async function answer (decoder: Decoder, source: readonly number[], { endOfText }: Tokenizer, config: GenerationConfig, maxNewTokens: number, signal: AbortSignal): Promise<number[]> {
  const endTokens = [...config.endTokens ?? [], ...(endOfText === undefined ? [] : [endOfText])]
  const ids: number[] = []
  for await (const id of generate(decoder, source, { maxNewTokens, ...config, endTokens, signal })) ids.push(id)
  return ids
}

function flat ({ metrics, ...scores }: Scores): object {
  return { ...scores, ...metrics }
}

function summary ({ loss, perplexity, metrics, tokens, rows }: Scores): string {
  const numbers: Metrics = { loss, ...(perplexity !== undefined && { perplexity }), ...metrics }
  const shown = Object.entries(numbers).map(([name, value]) => `${name} ${value?.toFixed(name === 'perplexity' ? 2 : 4) ?? 'undefined'}`)
  return `${shown.join(', ')}, over ${rows} rows${tokens === rows ? '' : `, ${tokens} tokens`}`
}
