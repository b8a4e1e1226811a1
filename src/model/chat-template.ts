import { Template } from '@huggingface/jinja'
import type { RenderChat } from '../types.js'

/** What we use of `tokenizer_config.json`. */
export interface ChatConfig {
  /** In Jinja; or several, of which the one named `default` counts. */
  readonly chat_template?: unknown
  /** `bos_token`, `eos_token` and others that templates refer to: a string, or its description. */
  readonly [key: string]: unknown
}

/**
 * Today for every template that asks: the same conversation is the same tokens on any day, or a run could not be resumed
 * tomorrow. It is the day that Llama 3 falls back to.
 */
const TODAY: Readonly<Record<string, string>> = { Y: '2024', y: '24', m: '07', B: 'July', b: 'Jul', d: '26', A: 'Friday', a: 'Fri', H: '00', M: '00', S: '00' }

/** The package knows the time by itself and lets no variable of that name be given, so that the template sets it. Its block swallows the line end. */
const FIXED_TIME = '{% set strftime_now = strftime_fixed %}\n'

/**
 * Writes conversations as the model was trained on them, as transformers' `apply_chat_template` does.
 *
 * @param file the text of `chat_template.jinja`, which goes before what the configuration says
 * @returns undefined if there is no template; one that is not valid Jinja throws when it is used
 */
export function createChatTemplate (config: ChatConfig, file?: string): RenderChat | undefined {
  const source = file ?? defaultTemplate(config.chat_template)
  if (source === undefined) return undefined
  const tokens = specialTokens(config)
  let template: Template | undefined
  return (messages, open) => {
    template ??= new Template(FIXED_TIME + source)
    return template.render({ ...tokens, messages, add_generation_prompt: open, tools: null, documents: null, strftime_fixed: formatToday })
  }
}

function defaultTemplate (given: unknown): string | undefined {
  if (typeof given === 'string') return given
  if (!Array.isArray(given)) return undefined
  const named = given as ReadonlyArray<{ readonly name?: unknown, readonly template?: unknown } | null>
  const found = named.find(entry => entry?.name === 'default')?.template
  return typeof found === 'string' ? found : undefined
}

function specialTokens (config: ChatConfig): Record<string, string> {
  const tokens: Record<string, string> = {}
  for (const [key, value] of Object.entries(config)) {
    const token = typeof value === 'object' ? (value as { readonly content?: unknown } | null)?.content : value
    if (key.endsWith('_token') && typeof token === 'string') tokens[key] = token
  }
  return tokens
}

function formatToday (format: string): string {
  return format.replace(/%(\w)/g, (whole, code: string) => TODAY[code] ?? whole)
}
