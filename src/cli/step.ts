import { stat } from 'node:fs/promises'
import { readBatchFile } from '../data/batch-file.js'
import { openEngine } from '../engine/open-engine.js'
import { InvalidOptionError } from '../errors.js'
import { replaceFile } from '../files.js'
import { BaseModel } from '../model/base-model.js'
import { predictedBy } from '../model/tasks/tasks.js'
import { selectSites } from '../model/sites.js'
import { encodeSafetensors } from '../tensor/safetensors.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { passTensors } from './pass-tensors.js'

/** One forward and backward pass on this machine: what a host does for a trainer, to look at and to compare. */
export const step = defineCommand({
  command: 'step',
  describe: 'One local forward and backward pass: loss, logits, and x and ∇ĥ of every site',
  options: {
    model: { type: 'string', required: true, describe: 'Hugging Face folder with config.json and safetensors' },
    batch: {
      type: 'string',
      required: true,
      describe: 'safetensors with what the model takes: input_ids [rows, length], attention_mask (missing: all ones) and token_type_ids, or pixel_values [rows, channels, height, width]; and labels (-100 does not count)'
    },
    sites: { type: 'list', describe: 'modules, by full name, by what it ends with, by regular expression, or all-linear (default: the usual ones of the model)' },
    out: {
      type: 'string',
      required: true,
      describe: 'safetensors to write: loss [1], logits, x.<site> and grad.<site>, in the shapes that they have in transformers; x of an embedding are integers'
    },
    ...ENGINE_OPTIONS
  },
  examples: [[
    'step --model models/tiny --batch in.safetensors --sites c_attn,c_proj --out out.safetensors',
    'x and ∇ĥ of all attention and projection modules'
  ]],
  handler: async ({ model: folder, batch: batchFile, sites, out, ...engine }, { signal, report, log }) => {
    await refuseFolder(out)
    const batch = await readBatchFile(batchFile)
    const { dtype, baseQuantize, ...options } = engineOptions(engine)
    const model = await BaseModel.load(folder, async weights => await openEngine(weights, options, log), { dtype, baseQuantize })
    log(`computes on ${model.engine.description}`)
    signal.throwIfAborted()
    const chosen = selectSites(model.info, sites ?? model.info.defaultSites)
    const begun = performance.now()
    const [result] = await model.pass([batch], { sites: chosen, logits: true })
    const milliseconds = Math.round(performance.now() - begun)
    signal.throwIfAborted()
    await replaceFile(out, encodeSafetensors(passTensors(result, batch, chosen)))
    const names = chosen.map(({ name }) => name)
    await report(
      { model: model.info.id, loss: result.loss, tokens: result.tokens, sites: names, engine: model.engine.name, out, milliseconds },
      `loss ${result.loss.toFixed(6)} over ${result.tokens} ${predictedBy(model.info.task)}, ${names.length} sites, ${milliseconds} ms\n${out}`
    )
  }
})

/** Before the work, not after it. */
async function refuseFolder (out: string): Promise<void> {
  const found = await stat(out).catch(() => undefined)
  if (found?.isDirectory() === true) throw new InvalidOptionError(`--out ${out} is a folder; name a file, such as ${out}/out.safetensors`)
}
