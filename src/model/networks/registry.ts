import { z } from 'zod'
import { InvalidModelError } from '../../errors.js'
import { factored, RANKS_KEY } from '../factored.js'
import type { Network } from '../network.js'
import { Bart, bartConfig } from './bart.js'
import { Bert } from './bert.js'
import { BERT_CONFIGS } from './bert-config.js'
import { CnnClassifier, cnnConfig } from './cnn-classifier.js'
import { Gpt2, gpt2Config } from './gpt2.js'
import { Llama } from './llama.js'
import { LLAMA_CONFIGS } from './llama-config.js'
import { linearConfig, MlpClassifier, mlpConfig } from './mlp-classifier.js'
import { T5 } from './t5.js'
import { t5Config } from './t5-config.js'
import { Vit, vitConfig } from './vit.js'

/** What is known of one `model_type`. */
interface Architecture {
  /** transformers' classes that it is, with or without weights of their own in the head. */
  readonly classes: readonly string[]
  /** transformers' class that makes one of them out of others, with a new head. @default none does */
  readonly maker?: string | undefined
  /** Throws what zod throws. */
  readonly open: (config: unknown) => { readonly network: Network, readonly settings: unknown }
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  bart: architecture(['BartForConditionalGeneration', 'BartModel'], bartConfig, settings => new Bart(settings)),
  bert: architecture(['BertForSequenceClassification'], BERT_CONFIGS.bert, settings => new Bert(settings), 'AutoModelForSequenceClassification'),
  'cnn-classifier': architecture(['CnnClassifier'], cnnConfig, settings => new CnnClassifier(settings)),
  gpt2: architecture(['GPT2LMHeadModel', 'GPT2Model'], gpt2Config, settings => new Gpt2(settings)),
  llama: architecture(['LlamaForCausalLM', 'LlamaModel'], LLAMA_CONFIGS.llama, settings => new Llama(settings)),
  'linear-classifier': architecture(['LinearClassifier'], linearConfig, settings => new MlpClassifier(settings)),
  mistral: architecture(['MistralForCausalLM', 'MistralModel'], LLAMA_CONFIGS.mistral, settings => new Llama(settings)),
  'mlp-classifier': architecture(['MlpClassifier'], mlpConfig, settings => new MlpClassifier(settings)),
  qwen2: architecture(['Qwen2ForCausalLM', 'Qwen2Model'], LLAMA_CONFIGS.qwen2, settings => new Llama(settings)),
  qwen3: architecture(['Qwen3ForCausalLM', 'Qwen3Model'], LLAMA_CONFIGS.qwen3, settings => new Llama(settings)),
  roberta: architecture(['RobertaForSequenceClassification'], BERT_CONFIGS.roberta, settings => new Bert(settings), 'AutoModelForSequenceClassification'),
  t5: architecture(['T5ForConditionalGeneration', 'T5Model', 'T5WithLMHeadModel'], t5Config, settings => new T5(settings)),
  vit: architecture(['ViTForImageClassification'], vitConfig, settings => new Vit(settings), 'AutoModelForImageClassification')
}

const headerSchema = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  [RANKS_KEY]: z.record(z.string(), z.number().int().positive()).optional()
})

/**
 * The network that a `config.json` describes.
 *
 * @param path of the file, for errors
 * @returns with what of the file changes the network's numbers, as text: two that say the same have the same
 * @throws {InvalidModelError} if it is of a type or a class that is not known, or says what is not possible
 */
export function networkOf (json: unknown, path: string): { readonly network: Network, readonly config: string } {
  const header = headerSchema.safeParse(json)
  if (!header.success) throw new InvalidModelError(`${path}: ${z.prettifyError(header.error)}`)
  const { model_type: type, architectures, [RANKS_KEY]: ranks = {} } = header.data
  const known = Object.hasOwn(ARCHITECTURES, type) ? ARCHITECTURES[type] : undefined
  if (known === undefined) throw new InvalidModelError(`${path}: model_type ${JSON.stringify(type)} is not known; known are ${Object.keys(ARCHITECTURES).join(', ')}`)
  const others = (architectures ?? []).filter(name => !known.classes.includes(name))
  if (others.length > 0) throw new InvalidModelError(`${path}: architecture ${others.join(', ')} is not known; of ${type} there is ${classesOf(known)}`)
  try {
    const { network, settings } = known.open(json)
    return { network: Object.keys(ranks).length === 0 ? network : factored(network, ranks), config: JSON.stringify(settings) }
  } catch (error) {
    if (error instanceof InvalidModelError) throw new InvalidModelError(`${path}: ${RANKS_KEY}: ${error.message}`, { cause: error })
    if (!(error instanceof z.ZodError)) throw error
    throw new InvalidModelError(`${path}: ${z.prettifyError(error)}`, { cause: error })
  }
}

/** transformers' classes, and how a model that is of none becomes one. */
function classesOf ({ classes, maker }: Architecture): string {
  const names = classes.join(', ')
  return maker === undefined ? names : `${names}; transformers makes one with ${maker}.from_pretrained(folder).save_pretrained(another)`
}

function architecture<S> (classes: readonly string[], schema: z.ZodType<S>, create: (settings: S) => Network, maker?: string): Architecture {
  return {
    classes,
    maker,
    open: config => {
      const settings = schema.parse(config)
      return { network: create(settings), settings }
    }
  }
}
