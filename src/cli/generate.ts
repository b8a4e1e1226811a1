import { openEngine } from '../engine/open-engine.js'
import type { Adapter } from '../gl/peft/adapter.js'
import { readAdapters } from '../gl/peft/read-adapter.js'
import { BaseModel } from '../model/base-model.js'
import type { Decoder } from '../model/decoder.js'
import { generate as continuation } from '../model/generate.js'
import { readGenerationConfig } from '../model/generation-config.js'
import { loadTokenizer } from '../model/tokenizer.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { loadedAdapter } from './loaded-adapter.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { terminalReporter } from './reporter.js'

/** What a model says, with or without an adapter: to see what was learned. */
export const generate = defineCommand({
  command: 'generate',
  describe: 'Continues a text or answers it, with an adapter or without',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet)' },
    prompt: { type: 'string', required: true, describe: 'the text to go on from, or where the model makes another text of it the source' },
    adapter: { type: 'string', describe: 'PEFT adapter folder' },
    unmerged: { type: 'boolean', describe: 'run the adapter beside the base model, in place of merging it into the weights' },
    maxNewTokens: { type: 'integer', min: 1, default: 40, describe: 'tokens that are made at most' },
    temperature: { type: 'number', min: 0, default: 0, describe: 'how freely tokens are drawn; 0 takes the likeliest' },
    topP: { type: 'number', above: 0, max: 1, default: 1, describe: 'draw of the likeliest tokens that together have this probability' },
    noRepeatNgramSize: { type: 'integer', min: 0, describe: 'no sequence of so many tokens comes twice (0: any may; default: what the model\'s generation_config.json says, else 0)' },
    seed: { type: 'integer', min: 0, max: 2 ** 32 - 1, default: 0, describe: 'decides what is drawn' },
    ...ENGINE_OPTIONS
  },
  examples: [
    ['generate --prompt "Permission is hereby granted"', 'by the small model that comes with colanet'],
    ['generate --model ~/models/gpt2 --adapter .colanet/train/adapters/default --prompt "Once" --temperature 0.8 --top-p 0.9', 'with what was trained']
  ],
  handler: async ({ model: folder = EMBEDDED_MODEL, prompt, adapter: adapterFolder, unmerged, maxNewTokens, temperature, topP, seed, noRepeatNgramSize: askedSize, ...engine }, { signal, progress, report, log }) => {
    const { dtype, baseQuantize, ...options } = engineOptions(engine)
    const tokenizer = await loadTokenizer(folder)
    const config = await readGenerationConfig(folder)
    const adapters = adapterFolder === undefined ? [] : await readAdapters(adapterFolder)
    const model = await BaseModel.load(folder, async weights => await openEngine(weights, options, log), { dtype, baseQuantize })
    const reporter = terminalReporter({ progress, log })
    try {
      log(`computes on ${model.engine.description}`)
      const decoder = await decoderOf(model, adapters, unmerged)
      const begun = performance.now()
      const ids: number[] = []
      const endTokens = [tokenizer.endOfText ?? [], config.endTokens ?? []].flat()
      const noRepeatNgramSize = askedSize ?? config.noRepeatNgramSize ?? 0
      for await (const id of continuation(decoder, tokenizer.encode(prompt, { addSpecialTokens: true }), { ...config, maxNewTokens, endTokens, temperature, topP, noRepeatNgramSize, seed, signal })) {
        ids.push(id)
        reporter.progress('generating', ids.length, maxNewTokens)
      }
      const tokensPerSecond = 1000 * ids.length / (performance.now() - begun)
      const text = tokenizer.decode(ids, { skipSpecialTokens: true })
      await report({ model: model.info.id, engine: model.engine.name, prompt, text, tokens: ids, tokensPerSecond }, model.info.task === 'CAUSAL_LM' ? prompt + text : text)
    } finally {
      reporter.end()
      await model.dispose()
    }
  }
})

async function decoderOf (model: BaseModel, adapters: readonly Adapter[], unmerged: boolean): Promise<Decoder> {
  const { changes, beside } = await loadedAdapter(model, adapters, { unmerged })
  await model.merge(changes)
  return model.decoder(beside?.(1))
}
