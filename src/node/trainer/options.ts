import { z } from 'zod'
import { InvalidOptionError } from '../../errors.js'
import { CLIPS } from '../../gl/clip.js'
import { COMPOSITIONS } from '../../gl/composed-auxiliary.js'
import { OPTIMIZERS } from '../../gl/optimizer.js'
import { SCHEDULES } from '../../gl/schedule.js'
import { MODEL_DTYPES } from '../../model/weights.js'
import { QUANTIZATIONS } from '../../tensor/quantize.js'
import { AUXILIARY_KINDS, MERGES, MODES } from '../../types.js'
import { MAX_AHEAD, MAX_TOGETHER } from '../../protocols/step/constants.js'
import { checkPrivacy } from './privacy-options.js'
import { STALE_RULES } from './staleness.js'
import { WIRE_OPTIONS } from './wire-form.js'

const count = z.number().int().positive()

/** Between the kinds of a mixture. */
export const MIXED = '~'

const taskName = z.string().regex(/^[\w.-]{1,64}$/, 'a task\'s name is letters, digits, dots, _ and -')

const auxSchema = z.string()
  .refine(text => text.split(MIXED).every(kind => (AUXILIARY_KINDS as readonly string[]).includes(kind)), `use one of ${AUXILIARY_KINDS.join(', ')}, or several with ${MIXED} between them`)
  .refine(text => new Set(text.split(MIXED)).size === text.split(MIXED).length, 'each kind may come once')

/** How to train: the same names on the command line, in the daemon's configuration, and in code. */
export const trainOptionsSchema = z.strictObject({
  /** A model's folder; or the id, the beginning of the id (8 digits) or the name of a model that a host offers. */
  model: z.string().min(1),
  /** What the matrices of a model in a folder are rounded to, as its hosts do: others have another id. */
  dtype: z.enum(MODEL_DTYPES).default('f32'),
  /** As what the matrices of linear modules of a model in a folder are kept, as its hosts do. */
  baseQuantize: z.enum(QUANTIZATIONS).optional(),
  /** Files and folders of what the model takes. */
  data: z.array(z.string()).optional(),
  /** Data of several tasks by their names, in place of `data`: each is trained an auxiliary of its own, in the same passes. */
  tasks: z.record(taskName, z.array(z.string().min(1)).min(1)).optional(),
  /** One fixed batch for every step in place of `data`: safetensors, see `readBatchFile`. */
  batch: z.string().optional(),
  /** Module names, as PEFT's `target_modules`; those of `adapter`, or the architecture's default. */
  sites: z.array(z.string().min(1)).min(1).optional(),
  /** Kind of the auxiliaries, or of a mixture the kinds that members choose from, with ~ between them; that of `adapter`, or `low-rank`. */
  aux: auxSchema.optional(),
  /** Which kind of a mixture this trainer's own are: that of `adapter`, or the first. */
  ownAux: z.enum(AUXILIARY_KINDS).optional(),
  /** That of `adapter`, or 8. */
  rank: count.optional(),
  /** PEFT's `lora_alpha`; that of `adapter`, or the rank, so that α is 1. */
  alpha: z.number().positive().optional(),
  /** Ranks of some sites, as PEFT's `rank_pattern`: by regular expressions for full names or what they end with. */
  rankPattern: z.record(z.string().min(1), count).optional(),
  /** The same for `alpha`, as PEFT's `alpha_pattern`. */
  alphaPattern: z.record(z.string().min(1), z.number().positive()).optional(),
  /** Whether α is alpha / √rank in place of alpha / rank, as PEFT's `use_rslora`. */
  rslora: z.boolean().default(false),
  /** The share of the values of x that auxiliaries are without in training, as PEFT's `lora_dropout`; that of `adapter`, or 0. */
  dropout: z.number().min(0).lt(1).optional(),
  optimizer: z.enum(OPTIMIZERS).default('adamw'),
  /** Peak learning rate; 3e-4 with AdamW, 3e-2 with SGD, 1e-2 with Adafactor, 1e-4 with Lion. */
  lr: z.number().positive().optional(),
  weightDecay: z.number().nonnegative().default(5e-4),
  schedule: z.enum(SCHEDULES).default('linear'),
  /** Share of the fits in which the rate rises; 0.05 with `linear`, else 0. */
  warmup: z.number().min(0).max(1).optional(),
  /** Gradients are scaled down to this norm; not at all if it is not given. */
  maxGradNorm: z.number().positive().optional(),
  /** Whose norm that is: of all gradients together, or of each site's auxiliary by itself. */
  clip: z.enum(CLIPS).default('global'),
  /** Batches that are gathered before a fit. */
  interval: count.default(1),
  /** Threads that fits are divided over, by site; as many as sites that are fitted at most. */
  fitThreads: count.default(1),
  /** Steps that are sent beyond the one that is waited for, at most. */
  ahead: z.number().int().min(0).max(MAX_AHEAD).default(0),
  /** What becomes of data that were made with an auxiliary that has been fitted since. */
  stale: z.enum(STALE_RULES).default('refuse'),
  batchSize: count.default(8),
  /** Whether rows of about the same length come together, so that less is filled up. */
  groupByLength: z.boolean().default(false),
  /** Tokens in a row; 128, or the model's positions if they are fewer. */
  length: count.optional(),
  /** Batches in all. */
  steps: count.default(100),
  seed: z.number().int().min(0).max(2 ** 32 - 1).default(0),
  mode: z.enum(MODES).default('alone'),
  /** Whether auxiliaries are merged into the base model, and when; `during` in collaboration, else `never`. */
  merge: z.enum(MERGES).optional(),
  /** Of the job's sites those that this trainer fits; all. */
  fitSites: z.array(z.string().min(1)).min(1).optional(),
  /** Name of the job: members find each other by it. */
  job: z.string().min(1).max(200).default('default'),
  /** Trainers that are expected in the job: it is not over before the last contribution of each is here. */
  members: count.default(1),
  /** Once members that are done hold this share of the tokens of all, the others end where they are; with 1 nobody does. */
  quorum: z.number().positive().max(1).default(1),
  /** How long to wait for a host, or for a member that says nothing, in seconds. */
  patience: z.number().positive().default(60),
  /** How adaptation data cross the wire. */
  wire: z.enum(WIRE_OPTIONS).default('auto'),
  /** Training is private (DP-SGD): no row's gradient counts for more than this norm; not if it is not given. */
  dpClip: z.number().positive().optional(),
  /** Deviation of the noise of a fit, as a multiple of `dpClip`. */
  dpNoise: z.number().positive().optional(),
  /** In place of `dpNoise`: the ε that all steps together shall have. */
  dpEpsilon: z.number().positive().optional(),
  /** The δ at which ε is told; 1 / rows^1.1. */
  dpDelta: z.number().positive().max(0.5).optional(),
  /** Share of the data that is never trained on. */
  heldOut: z.number().min(0).lt(1).default(0.1),
  /** The most held-out rows on which the loss is taken. */
  heldOutRows: count.default(32),
  /** A PEFT adapter folder to start from. */
  adapter: z.string().optional(),
  /** Adapter folders of earlier tasks by their names: they stand still beside the one that is trained. */
  beside: z.record(taskName, z.string().min(1)).optional(),
  /** How they stand there. */
  compose: z.enum(COMPOSITIONS).default('sum'),
  /** Data of earlier tasks by their names: what has become of them is reported. */
  review: z.record(taskName, z.array(z.string().min(1)).min(1)).optional(),
  /** The folder to write the adapter to, in PEFT's format; by default below the node's folder. */
  out: z.string().optional()
})

export type TrainOptions = z.infer<typeof trainOptionsSchema>

/** With defaults filled in. @throws {InvalidOptionError} naming what is wrong */
export function parseTrainOptions (options: z.input<typeof trainOptionsSchema>): TrainOptions {
  const parsed = trainOptionsSchema.safeParse(options)
  if (!parsed.success) throw new InvalidOptionError(z.prettifyError(parsed.error))
  const { adapter, mode, clip, maxGradNorm } = parsed.data
  checkSource(parsed.data)
  if (adapter !== undefined && mode === 'joint') {
    throw new InvalidOptionError('the members of a joint job start alike, from its seed: --adapter cannot be used with --mode joint')
  }
  if (clip === 'auxiliary' && maxGradNorm === undefined) {
    throw new InvalidOptionError('--clip auxiliary says whose norm is limited, not to what; add --max-grad-norm, such as --max-grad-norm 1')
  }
  if (mode === 'alone' && parsed.data.quorum < 1) {
    throw new InvalidOptionError('--quorum ends the training of members that are slower than others, and there are none with --mode alone; use --mode collaboration or joint')
  }
  checkBeside(parsed.data)
  checkPrivacy(parsed.data)
  checkAhead(parsed.data)
  return parsed.data
}

function checkSource ({ data, batch, tasks }: TrainOptions): void {
  const given = Object.entries({ '--data': data, '--batch': batch, '--tasks': tasks }).filter(([, value]) => value !== undefined).map(([name]) => name)
  if (given.length === 0) throw new InvalidOptionError('nothing to train on; name files or folders with --data, a batch with --batch, or the data of several tasks with --tasks')
  if (given.length > 1) throw new InvalidOptionError(`${given.join(' and ')} exclude each other; use one of them`)
  const count = Object.keys(tasks ?? {}).length
  if (tasks !== undefined && (count === 0 || count > MAX_TOGETHER)) throw new InvalidOptionError(`${count} tasks are not possible; use 1 to ${MAX_TOGETHER}`)
}

function checkAhead ({ ahead, mode, tasks }: TrainOptions): void {
  if (ahead === 0) return
  if (mode === 'joint') {
    throw new InvalidOptionError('in a joint job every member\'s fits move what a batch meets, so that data of steps that run ahead are stale by more than this trainer\'s own: --ahead cannot be used with --mode joint')
  }
  if (tasks !== undefined) throw new InvalidOptionError('the steps of several tasks wait for one another to be one pass: --ahead cannot be used with --tasks')
}

function checkBeside ({ beside, review, adapter, mode, aux = 'low-rank', ownAux = 'low-rank' }: TrainOptions): void {
  const unknown = Object.keys(review ?? {}).find(task => beside?.[task] === undefined)
  if (unknown !== undefined) throw new InvalidOptionError(`--review names ${unknown}, of which --beside has no adapter`)
  if (beside === undefined) return
  if (adapter !== undefined) throw new InvalidOptionError('--adapter is gone on with, and --beside stands still: use one of them')
  if (mode !== 'alone') throw new InvalidOptionError(`--beside is for --mode alone; with --mode ${mode} give everyone's adapters to colanet merge`)
  if (aux !== 'low-rank' || ownAux !== 'low-rank') throw new InvalidOptionError(`earlier adapters stand beside a low-rank one, --aux is ${aux}`)
}
