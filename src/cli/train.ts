import { startBackend } from '../engine/backend.js'
import { CLIPS } from '../gl/clip.js'
import { OPTIMIZERS } from '../gl/optimizer.js'
import { COMPOSITIONS } from '../gl/composed-auxiliary.js'
import { SCHEDULES } from '../gl/schedule.js'
import { MIXED, parseTrainOptions } from '../node/trainer/options.js'
import { RATES } from '../node/trainer/plan.js'
import { STALE_RULES } from '../node/trainer/staleness.js'
import { WIRE_OPTIONS } from '../node/trainer/wire-form.js'
import type { TrainContext } from '../node/trainer/place.js'
import { trainLocally } from '../node/trainer/train.js'
import { trainTasksLocally } from '../node/trainer/train-tasks.js'
import { MAX_AHEAD } from '../protocols/step/index.js'
import { AUXILIARY_KINDS, MERGES, MODES } from '../types.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { NETWORK_OPTIONS } from './network.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { namedPaths } from './named-paths.js'
import { patternsOf } from './patterns.js'
import { terminalReporter } from './reporter.js'
import { MESH_FOLDER, tell, trainInNetwork } from './train-in-network.js'

const LOCAL_FOLDER = '.colanet/local'

/** Trains an adapter on the user's own data, at a host of the mesh or in this process. */
export const train = defineCommand({
  command: 'train',
  describe: 'Trains an adapter on your own data, at a host of the mesh; the same command again resumes it',
  options: {
    model: { type: 'string', describe: 'the base model: its folder, or the id or name of one that a host offers (default: the small one that comes with colanet)' },
    data: { type: 'files', describe: 'what the model is for: .txt or .md files; .jsonl, .csv or .parquet files with text, prompt and completion, or (not .csv) messages; with text, text_pair and label; with source and target; folders of them; or folders of .png or .jpg files by class' },
    batch: { type: 'string', describe: 'in place of --data: safetensors with one fixed batch for every step (input_ids, attention_mask, labels; or pixel_values, labels)' },
    tasks: { type: 'files', describe: 'in place of --data: several tasks, each with data and an adapter of its own, trained in the same passes: name=path' },
    local: { type: 'boolean', describe: 'host and trainer in this one process, without a network' },
    job: { type: 'string', default: 'default', describe: 'name of the job, by which its members find each other' },
    mode: { type: 'choice', choices: MODES, default: 'alone', describe: 'an adapter of your own, everyone\'s own averaged into one, or one that all move' },
    members: { type: 'integer', min: 1, default: 1, describe: 'trainers expected in the job: the last contribution of each is waited for' },
    quorum: { type: 'number', above: 0, max: 1, default: 1, describe: 'once members that are done hold this share of the tokens of all, the others end where they are (1: nobody does)' },
    sites: { type: 'list', describe: 'modules to adapt, by full name, by what it ends with, such as c_attn, by regular expression, or all-linear (default: the usual ones of the model)' },
    merge: { type: 'choice', choices: MERGES, describe: 'auxiliaries are merged into the base model\'s weights during training, after it, or never, and run beside it (default: during in collaboration, else never)' },
    fitSites: { type: 'list', describe: 'of the job\'s modules those that this trainer fits, so that several share an adapter among them (default: all)' },
    aux: { type: 'string', describe: `kind of the auxiliaries: ${AUXILIARY_KINDS.join(', ')}; or, as low-rank${MIXED}mlp, a mixture from which each member chooses (default: low-rank, which is LoRA)` },
    ownAux: { type: 'choice', choices: AUXILIARY_KINDS, describe: 'which kind of a mixture your own are (default: its first)' },
    rank: { type: 'integer', min: 1, describe: 'rank of low-rank auxiliaries (default: 8)' },
    alpha: { type: 'number', above: 0, describe: 'PEFT\'s lora_alpha: outputs are scaled by alpha / rank (default: the rank)' },
    rankPattern: { type: 'list', describe: 'ranks of some modules, as PEFT\'s rank_pattern: c_attn=16,c_proj=4' },
    alphaPattern: { type: 'list', describe: 'the same for alpha, as PEFT\'s alpha_pattern' },
    rslora: { type: 'boolean', describe: 'scale outputs by alpha / √rank, as PEFT\'s use_rslora' },
    dropout: { type: 'number', min: 0, max: 0.99, describe: 'share of the values of x that auxiliaries are without in training, as PEFT\'s lora_dropout (default: that of --adapter, or 0)' },
    optimizer: { type: 'choice', choices: OPTIMIZERS, default: 'adamw', describe: 'how auxiliaries are fitted' },
    lr: { type: 'number', above: 0, describe: `peak learning rate (default: ${OPTIMIZERS.map(kind => `${RATES[kind].toExponential()} for ${kind}`).join(', ')})` },
    weightDecay: { type: 'number', min: 0, default: 5e-4, describe: 'weight decay' },
    schedule: { type: 'choice', choices: SCHEDULES, default: 'linear', describe: 'how the learning rate goes, counted in fits' },
    warmup: { type: 'number', min: 0, max: 1, describe: 'share of the fits in which the rate rises (default: 0.05 for linear, else 0)' },
    maxGradNorm: { type: 'number', above: 0, describe: 'norm that gradients are clipped to (default: not clipped)' },
    clip: { type: 'choice', choices: CLIPS, default: 'global', describe: 'whose norm that is: of all gradients together, or of each site\'s auxiliary by itself' },
    interval: { type: 'integer', min: 1, default: 1, describe: 'batches gathered before a fit' },
    fitThreads: { type: 'integer', min: 1, default: 1, describe: 'threads that fits are divided over by modules; the result is the same, to the bit' },
    ahead: { type: 'integer', min: 0, max: MAX_AHEAD, default: 0, describe: 'batches sent beyond the one that is waited for, so that host, wire and fit work at once' },
    stale: { type: 'choice', choices: STALE_RULES, default: 'refuse', describe: 'adaptation data made with auxiliaries that were fitted s times since: refused, with batches sent ahead to the end of an interval only; or their gradients multiplied by (1 + s)^(-1/2)' },
    batchSize: { type: 'integer', min: 1, default: 8, describe: 'rows in a batch' },
    groupByLength: { type: 'boolean', describe: 'put rows of about the same length into a batch, so that less is filled up' },
    length: { type: 'integer', min: 2, describe: 'tokens in a row (default: 128, or what the model takes)' },
    steps: { type: 'integer', min: 1, default: 100, describe: 'batches in all' },
    seed: { type: 'integer', min: 0, max: 2 ** 32 - 1, default: 0, describe: 'decides the start of the auxiliaries and the order of the data' },
    heldOut: { type: 'number', min: 0, max: 0.9, default: 0.1, describe: 'share of the data that is never trained on' },
    heldOutRows: { type: 'integer', min: 1, default: 32, describe: 'the most held-out rows on which the loss is taken' },
    adapter: { type: 'string', describe: 'PEFT adapter folder to start from' },
    beside: { type: 'files', describe: 'adapters of earlier tasks, which stand still beside the one that is trained: name=folder' },
    compose: { type: 'choice', choices: COMPOSITIONS, default: 'sum', describe: 'how they stand there: as they are, or each times a number that is learned, one at each module' },
    review: { type: 'files', describe: 'data of those tasks, on which losses are taken before and after: name=path' },
    out: { type: 'string', describe: 'folder to write the adapter to, in PEFT\'s format (default: adapters/<job> in --folder)' },
    wire: { type: 'choice', choices: WIRE_OPTIONS, default: 'auto', describe: 'what a host sends: x and ∇ĥ of every token as f32, bf16 or f16; what they do to the factors of a low-rank adapter; the sum of ∇ĥ·xᵀ; or the smallest that is exact' },
    dpClip: { type: 'number', above: 0, describe: 'trains privately (DP-SGD): the gradient of one row counts for no more than this norm' },
    dpNoise: { type: 'number', above: 0, describe: 'with --dp-clip: deviation of the noise of each fit, as a multiple of it' },
    dpEpsilon: { type: 'number', above: 0, describe: 'in place of --dp-noise: the ε that all --steps together shall have' },
    dpDelta: { type: 'number', above: 0, max: 0.5, describe: 'the δ at which ε is told (default: 1 / rows^1.1)' },
    patience: { type: 'number', above: 0, default: 60, describe: 'how long to wait for a host, or for a member that says nothing, in seconds' },
    folder: { type: 'string', describe: `where the node keeps its identity and checkpoints (default: ${MESH_FOLDER}, with --local ${LOCAL_FOLDER})` },
    ...NETWORK_OPTIONS,
    ...ENGINE_OPTIONS
  },
  examples: [
    ['train --data notes.txt', 'at whichever host offers the small model that comes with colanet'],
    ['train --model 3f2a9c41 --data docs/ --mode collaboration --job our-docs', 'together with everyone in that job'],
    ['train --local --model models/tiny --data notes.txt', 'without a network']
  ],
  handler: async ({ local, model = EMBEDDED_MODEL, folder = local ? LOCAL_FOLDER : MESH_FOLDER, backend, device, dtype, baseQuantize, threads, spin, memory, listen, bootstrap, mdns, localDiscovery, rankPattern, alphaPattern, beside, review, tasks, ...given }, { signal, progress, report, log }) => {
    const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    const patterns = {
      ...(rankPattern && { rankPattern: patternsOf('--rank-pattern', rankPattern) }),
      ...(tasks && { tasks: Object.fromEntries(namedPaths('--tasks', tasks)) }),
      ...(beside && { beside: Object.fromEntries(namedPaths('--beside', beside).map(([name, paths]) => [name, paths.join()])) }),
      ...(review && { review: Object.fromEntries(namedPaths('--review', review)) }),
      ...(alphaPattern && { alphaPattern: patternsOf('--alpha-pattern', alphaPattern) })
    }
    const options = parseTrainOptions({ ...defined, ...patterns, model, dtype, baseQuantize })
    if (!local) {
      await trainInNetwork({ options, folder, backend, network: { listen, bootstrap, mdns, localDiscovery } }, { signal, progress, report, log })
      return
    }
    const { name } = await startBackend(backend)
    const reporter = terminalReporter({ progress, log })
    const context: TrainContext = { folder, engine: name, reporter, signal }
    try {
      const engine = engineOptions({ backend, device, dtype, baseQuantize, threads, spin, memory })
      await tell(options.tasks === undefined ? await trainLocally(options, context, engine) : await trainTasksLocally(options, context, engine), report)
    } finally {
      reporter.end()
    }
  }
})
