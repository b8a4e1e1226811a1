import { BatchSource, heldOutBatches } from '../data/batches.js'
import { startBackend } from '../engine/backend.js'
import { openEngine } from '../engine/open-engine.js'
import { InvalidDataError } from '../errors.js'
import { BaseModel } from '../model/base-model.js'
import { checkProduct } from '../model/factored.js'
import { openModelFolder } from '../model/model-folder.js'
import { feedForwardSites, selectSites } from '../model/sites.js'
import { writeModel } from '../model/write-model.js'
import { compress as compressModel, type Compressed } from '../node/compression/compress.js'
import { checkRatio, COMPRESSION_METHODS } from '../node/compression/stand-ins.js'
import { loadDataset } from '../node/dataset.js'
import { sourceInFolder } from '../node/model-source.js'
import { defineCommand } from './command.js'
import { checkEmpty } from './empty-folder.js'
import { COMPUTE_OPTIONS, computeOptions } from './engine.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { terminalReporter } from './reporter.js'

/** A smaller model, fitted by Gradient Learning. */
export const compress = defineCommand({
  command: 'compress',
  describe: 'Makes a smaller model: matrices are replaced by low-rank or pruned ones, which are fitted to your data by Gradient Learning',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder of the base model (default: the small one that comes with colanet)' },
    data: { type: 'files', required: true, describe: 'what the model shall be good at: files and folders as train takes them' },
    sites: { type: 'list', describe: 'modules to compress, as train\'s --sites (default: those of all feed-forward blocks)' },
    ratio: { type: 'number', above: 0, max: 1, default: 0.5, describe: 'parameters that are left, of what the modules\' matrices have' },
    method: { type: 'choice', choices: COMPRESSION_METHODS, default: 'low-rank', describe: 'two factors in place of a matrix; or most of its values zero, which takes as much room on disk as before' },
    steps: { type: 'integer', min: 1, default: 100, describe: 'batches that are fitted to' },
    lr: { type: 'number', above: 0, default: 1e-3, describe: 'peak learning rate' },
    batchSize: { type: 'integer', min: 1, default: 8, describe: 'rows in a batch' },
    length: { type: 'integer', min: 2, describe: 'tokens in a row (default: 128, or what the model takes)' },
    seed: { type: 'integer', min: 0, max: 2 ** 32 - 1, default: 0, describe: 'decides the order of the data' },
    heldOut: { type: 'number', above: 0, max: 0.9, default: 0.1, describe: 'share of the data on which the losses are taken' },
    heldOutRows: { type: 'integer', min: 1, default: 32, describe: 'the most held-out rows' },
    out: { type: 'string', required: true, describe: 'where the model goes: a folder that is empty or not there yet' },
    ...COMPUTE_OPTIONS
  },
  examples: [
    ['compress --data notes/ --out smaller', 'the feed-forward blocks of the small model at half their parameters'],
    ['compress --model ~/models/gpt2 --data notes/ --sites c_fc --method prune --ratio 0.3 --steps 200 --out pruned', 'the same shapes, mostly zeros: transformers loads it']
  ],
  handler: async ({ model: path = EMBEDDED_MODEL, data, sites: names, ratio, method, steps, lr, batchSize, length, seed, heldOut: heldOutShare, heldOutRows, out, ...compute }, { signal, progress, report, log }) => {
    await checkEmpty(out)
    const folder = await openModelFolder(path)
    const { info } = folder.network
    const sites = names === undefined ? feedForwardSites(info) : selectSites(info, names)
    for (const { name } of sites) checkProduct(folder.network, name)
    checkRatio(sites, method, ratio)
    const options = computeOptions(compute)
    await startBackend(options.backend)
    const reporter = terminalReporter({ progress, log })
    const model = await BaseModel.open(folder, async weights => await openEngine(weights, options, log))
    try {
      log(`computes on ${model.engine.description}`)
      const { train, heldOut } = await loadDataset(sourceInFolder(path, model.info), {
        paths: data, heldOutShare, ...(length !== undefined && { length }), signal, onProgress: (done, total) => reporter.progress('reading data', done, total)
      })
      if (heldOut.count === 0) throw new InvalidDataError(`${data.join(', ')}: there is too little to hold any out; give more, since the losses are taken on what is not fitted to`)
      const { replacements, ...compressed } = await compressModel({
        folder,
        model,
        sites,
        method,
        ratio,
        steps,
        rate: lr,
        reporter,
        signal,
        batches: new BatchSource(train, { batchSize, seed }),
        heldOut: heldOutBatches(heldOut, batchSize, { maxRows: heldOutRows })
      })
      await writeModel(folder, out, replacements, { signal, onProgress: (done, total) => reporter.progress('writing', done, total) })
      await report({ engine: model.engine.name, ...compressed, model: out }, summary(compressed, out))
    } finally {
      reporter.end()
      await model.dispose()
    }
  }
})

function summary ({ loss, parameters, sites, kept }: Omit<Compressed, 'replacements'>, out: string): string {
  return [
    `${sites.length} sites, ${parameters.before} → ${parameters.after} parameters`,
    `held-out loss ${loss.before.toFixed(4)} before, ${loss.truncated.toFixed(4)} truncated, ${loss.fitted.toFixed(4)} fitted${kept === 'fitted' ? '' : '; fitting made it no better, so that it is left out'}`,
    `model ${out}`
  ].join('\n')
}
