import { join } from 'node:path'
import { rankAt, scaleAt } from '../../auxiliary-spec.js'
import { replaceFolder } from '../../files.js'
import { encodeSafetensors } from '../../tensor/safetensors.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, Task } from '../../types.js'
import { type Adapter, type AdapterBase, CONFIG_FILE, KEY_PREFIX, SPEC_MARK, TENSOR_FILE } from './adapter.js'
import { OWN_TYPE } from './config.js'
import { factorsOf } from './full-rank.js'
import { asStored, storedName } from './stored-form.js'

/**
 * PEFT's class for the adapter. Null is the plain one: there is none for images, and that for classifiers of text loads no
 * adapter without a head of its own, kept whole.
 */
const TASK_TYPES: Readonly<Record<Task, string | null>> = { CAUSAL_LM: 'CAUSAL_LM', SEQ_2_SEQ_LM: 'SEQ_2_SEQ_LM', SEQ_CLS: null, IMAGE_CLS: null }

/**
 * Writes adapters whose sum is what was learned: one as PEFT has it, several each in a folder of its own. The folder is replaced
 * whole or not at all.
 */
export async function writeAdapters (folder: string, adapters: readonly Adapter[], base: AdapterBase): Promise<void> {
  const parts = adapters.map((adapter, i) => Object.entries(filesOf(adapter, base)).map(([name, content]) =>
    [adapters.length === 1 ? name : join(`part-${i + 1}`, name), content] as const))
  await replaceFolder(folder, Object.fromEntries(parts.flat()))
}

/** Writes an adapter as PEFT's `save_pretrained` does: PEFT loads it, unless it is of a kind that PEFT has not. As `writeAdapters`. */
export async function writeAdapter (folder: string, adapter: Adapter, base: AdapterBase): Promise<void> {
  await writeAdapters(folder, [adapter], base)
}

type Files = Record<string, string | Uint8Array>

function filesOf (adapter: Adapter, base: AdapterBase): Files {
  switch (adapter.spec.kind) {
    case 'low-rank':
    case 'linear': return loraFiles(adapter, base)
    case 'dora': return adapter.spec.shares === undefined ? loraFiles(adapter, base) : ownFiles(adapter, base) // a share of DoRA is none
    case 'ia3': return ia3Files(adapter, base)
    case 'mlp': return ownFiles(adapter, base)
  }
}

/** Parameters under their own names, and the spec as it is. */
function ownFiles ({ spec, tensors }: Adapter, base: AdapterBase): Files {
  const flat = new Map([...tensors].flatMap(([site, own]) => [...own].map(([parameter, tensor]) => [`${KEY_PREFIX}${site}.${parameter}`, tensor] as const)))
  return files({ peft_type: OWN_TYPE, ...commonConfig(tensors, base), ...spec }, flat, spec)
}

/** PEFT has no α here, so that it goes into l: ĥ = (1 + α(l − 1)) ⊙ f(x). Of a convolution l is `[1, out, 1, 1]`. */
function ia3Files ({ spec, tensors }: Adapter, base: AdapterBase): Files {
  const scaled = new Map([...tensors].map(([site, own]) => {
    const scale = scaleAt(spec, site)
    return [site, new Map([...own].map(([name, { shape, values }]) => [name, { shape, values: scale === 1 ? values : values.map(value => 1 + scale * (value - 1)) }]))]
  }))
  const config = { peft_type: 'IA3', ...commonConfig(tensors, base), feedforward_modules: [], fan_in_fan_out: base.fanInFanOut }
  return files(config, storedTensors(scaled, base))
}

/**
 * A linear auxiliary W `[out, in]` becomes the product of itself and an identity, a LoRA of full rank, which is exact. Of a
 * convolution, A is one `[r, channels, height, width]`, and B one of single pixels, `[out, r, 1, 1]`. Those of an embedding are
 * called `lora_embedding_A` and `lora_embedding_B`.
 */
function loraFiles ({ spec, tensors }: Adapter, base: AdapterBase): Files {
  const { kind, rankStabilised = false, dropout = 0 } = spec
  const factors = kind === 'linear' ? new Map([...tensors].map(([site, own]) => [site, factorsOf(own)])) : tensors
  const shapes = [...factors].map(([site, factor]) => {
    const rank = factor.get('lora_A.weight')?.shape[0] ?? rankAt(spec, site)
    return { site, rank, alpha: rank === rankAt(spec, site) ? spec.alphas?.[site] ?? spec.alpha : scaleAt(spec, site) * (rankStabilised ? Math.sqrt(rank) : rank) } // a quotient times its divisor need not be what it was
  })
  const [first] = kind === 'linear' ? [...shapes].sort((a, b) => b.rank - a.rank) : [spec]
  const patternOf = (value: 'rank' | 'alpha'): Record<string, number> => Object.fromEntries(shapes.filter(own => own[value] !== first[value]).map(own => [own.site, own[value]]))
  const config = {
    peft_type: 'LORA',
    ...commonConfig(tensors, base),
    r: first.rank,
    lora_alpha: first.alpha,
    rank_pattern: patternOf('rank'),
    alpha_pattern: patternOf('alpha'),
    use_rslora: rankStabilised,
    ...(kind === 'dora' && { use_dora: true }),
    lora_dropout: dropout,
    bias: 'none',
    fan_in_fan_out: base.fanInFanOut
  }
  return files(config, storedTensors(factors, base), kind === 'linear' ? spec : undefined)
}

function commonConfig (tensors: AdapterTensors, base: AdapterBase): object {
  return { task_type: TASK_TYPES[base.task], base_model_name_or_path: base.name, inference_mode: true, target_modules: [...tensors.keys()] }
}

function storedTensors (adapter: AdapterTensors, base: AdapterBase): Map<string, FloatTensor> {
  const sites = new Map(base.sites.map(site => [site.name, site]))
  return new Map([...adapter].flatMap(([name, own]) => {
    const site = sites.get(name)
    return [...own].map(([parameter, tensor]) => [`${KEY_PREFIX}${name}.${storedName(parameter, site)}`, asStored(parameter, tensor, site)] as const)
  }))
}

/** @param mark the spec, where the config does not tell it */
function files (config: object, tensors: ReadonlyMap<string, FloatTensor>, mark?: AuxiliarySpec): Files {
  const metadata = { format: 'pt', ...(mark && { [SPEC_MARK]: JSON.stringify(mark) }) }
  return { [CONFIG_FILE]: JSON.stringify(config, null, 2) + '\n', [TENSOR_FILE]: encodeSafetensors(tensors, { metadata }) }
}
