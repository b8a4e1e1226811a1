import { z } from 'zod'
import { InvalidOptionError } from '../../errors.js'
import { OPTIMIZERS } from '../../gl/optimizer.js'
import { SCHEDULES } from '../../gl/schedule.js'
import { MODEL_DTYPES } from '../../model/weights.js'
import { QUANTIZATIONS } from '../../tensor/quantize.js'
import { AUXILIARY_KINDS, MODES } from '../../types.js'
import { WIRE_OPTIONS } from './wire-form.js'

const count = z.number().int().positive()

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
  /** One fixed batch for every step in place of `data`: safetensors, see `readBatchFile`. */
  batch: z.string().optional(),
  /** Module names, as PEFT's `target_modules`; those of `adapter`, or the architecture's default. */
  sites: z.array(z.string().min(1)).min(1).optional(),
  /** Kind of the auxiliaries; that of `adapter`, or `low-rank`. */
  aux: z.enum(AUXILIARY_KINDS).optional(),
  /** That of `adapter`, or 8. */
  rank: count.optional(),
  /** PEFT's `lora_alpha`; that of `adapter`, or the rank, so that α is 1. */
  alpha: z.number().positive().optional(),
  optimizer: z.enum(OPTIMIZERS).default('adamw'),
  /** Peak learning rate; 3e-4 with AdamW, 3e-2 with SGD. */
  lr: z.number().positive().optional(),
  weightDecay: z.number().nonnegative().default(5e-4),
  schedule: z.enum(SCHEDULES).default('linear'),
  /** Share of the fits in which the rate rises; 0.05 with `linear`, else 0. */
  warmup: z.number().min(0).max(1).optional(),
  /** Gradients are scaled down to this global norm; not at all if it is not given. */
  maxGradNorm: z.number().positive().optional(),
  /** Batches that are gathered before a fit. */
  interval: count.default(1),
  batchSize: count.default(8),
  /** Whether rows of about the same length come together, so that less is filled up. */
  groupByLength: z.boolean().default(false),
  /** Tokens in a row; 128, or the model's positions if they are fewer. */
  length: count.optional(),
  /** Batches in all. */
  steps: count.default(100),
  seed: z.number().int().min(0).max(2 ** 32 - 1).default(0),
  mode: z.enum(MODES).default('alone'),
  /** Name of the job: members find each other by it. */
  job: z.string().min(1).max(200).default('default'),
  /** Trainers that are expected in the job: it is not over before the last contribution of each is here. */
  members: count.default(1),
  /** How long to wait for a host, or for a member that says nothing, in seconds. */
  patience: z.number().positive().default(60),
  /** How adaptation data cross the wire. */
  wire: z.enum(WIRE_OPTIONS).default('auto'),
  /** Share of the data that is never trained on. */
  heldOut: z.number().min(0).lt(1).default(0.1),
  /** The most held-out rows on which the loss is taken. */
  heldOutRows: count.default(32),
  /** A PEFT adapter folder to start from. */
  adapter: z.string().optional(),
  /** The folder to write the adapter to, in PEFT's format; by default below the node's folder. */
  out: z.string().optional()
})

export type TrainOptions = z.infer<typeof trainOptionsSchema>

/** With defaults filled in. @throws {InvalidOptionError} naming what is wrong */
export function parseTrainOptions (options: z.input<typeof trainOptionsSchema>): TrainOptions {
  const parsed = trainOptionsSchema.safeParse(options)
  if (!parsed.success) throw new InvalidOptionError(z.prettifyError(parsed.error))
  const { data, batch, adapter, mode } = parsed.data
  if ((data === undefined) === (batch === undefined)) {
    throw new InvalidOptionError(batch === undefined
      ? 'nothing to train on; name files or folders with --data, or a batch with --batch'
      : '--data and --batch exclude each other; use one of them')
  }
  if (adapter !== undefined && mode === 'joint') {
    throw new InvalidOptionError('the members of a joint job start alike, from its seed: --adapter cannot be used with --mode joint')
  }
  return parsed.data
}
