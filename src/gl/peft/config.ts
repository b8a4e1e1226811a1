import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { InvalidAdapterError } from '../../errors.js'
import { AUXILIARY_KINDS, type AuxiliarySpec } from '../../types.js'
import { CONFIG_FILE, TENSOR_FILE } from './adapter.js'

/** Values of `init_lora_weights` that take the adapter's start out of the base model's weights. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/i

const positive = z.number().int().positive()

const loraConfig = z.object({
  peft_type: z.literal('LORA'),
  r: positive,
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()])
    .refine(start => !CHANGES_BASE.test(String(start)), 'a start that changed the base model\'s weights (PiSSA, OLoRA, CorDA, LoftQ) is not supported')
    .nullish(),
  lora_dropout: z.number().min(0).max(1).nullish(),
  bias: z.literal('none', 'trained biases are not supported').nullish(),
  rank_pattern: z.record(z.string(), positive).nullish(),
  alpha_pattern: z.record(z.string(), z.number().positive()).nullish()
})

const ia3Config = z.object({
  peft_type: z.literal('IA3'),
  feedforward_modules: z.union([z.string(), z.array(z.string())]).nullish()
})

/** Kinds that PEFT has not, under a name that it refuses. */
export const OWN_TYPE = 'COLANET'

const adapterConfig = z.discriminatedUnion('peft_type', [loraConfig, ia3Config, z.object({ peft_type: z.literal(OWN_TYPE) })],
  { error: 'only LoRA and IA3 adapters, and those that colanet writes, are supported' })

export type LoraConfig = z.infer<typeof loraConfig>
export type Ia3Config = z.infer<typeof ia3Config>
export type AdapterConfig = z.infer<typeof adapterConfig>

/** A spec under `SPEC_MARK`. */
export const specSchema: z.ZodType<AuxiliarySpec> = z.object({
  kind: z.enum(AUXILIARY_KINDS),
  rank: positive,
  alpha: z.number().positive(),
  ranks: z.record(z.string(), positive).exactOptional(),
  alphas: z.record(z.string(), z.number().positive()).exactOptional(),
  rankStabilised: z.boolean().exactOptional(),
  dropout: z.number().nonnegative().lt(1).exactOptional(),
  shares: z.record(z.string(), z.number().nonnegative()).exactOptional()
})

/** @throws {InvalidAdapterError} if it is not there, or of an adapter that we cannot continue exactly */
export async function readConfig (path: string): Promise<AdapterConfig> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new InvalidAdapterError(`${path} is not there or not JSON; an adapter is a folder with ${CONFIG_FILE} and ${TENSOR_FILE}, as PEFT writes it`, { cause })
  }
  const config = adapterConfig.safeParse(json)
  if (!config.success) throw new InvalidAdapterError(`${path}: ${z.prettifyError(config.error)}`)
  return config.data
}
