import { join } from 'node:path'
import { LineChild } from './line-child.js'

const SCRIPT = join(import.meta.dirname, 'peft_step.py')

export type Attention = 'sdpa' | 'eager'

export interface PeftOptions {
  readonly model: string
  /** Safetensors with `input_ids` and `labels`. */
  readonly batch: string
  readonly attention: Attention
  readonly threads: number
  /** Each has an equal share of the rows. @default 1 */
  readonly adapters?: number
  readonly signal: AbortSignal
  readonly log: (line: string) => void
}

export interface PeftStep {
  readonly milliseconds: number
  readonly loss: number
}

/** PyTorch with PEFT's LoRA, in a process that does a step when it is asked to; undefined, and said why, where there is none. */
export async function startPeft ({ model, batch, attention, threads, adapters = 1, signal, log }: PeftOptions): Promise<LineChild | undefined> {
  const { PYTHON: python } = process.env
  if (python === undefined || python === '') {
    log('PYTHON is not set: set it to a Python with torch, transformers and peft to compare with PEFT')
    return undefined
  }
  try {
    const child = await LineChild.start(python, [SCRIPT, model, batch, '--attention', attention, '--threads', String(threads), '--adapters', String(adapters)], signal)
    if (adapters === 1) log(`PEFT with ${attention} attention: ${JSON.stringify(child.greeting)}`)
    return child
  } catch (error) {
    signal.throwIfAborted()
    log(`PEFT cannot be measured with PYTHON=${python}: ${(error as Error).message}`)
    return undefined
  }
}

export async function peftStep (child: LineChild): Promise<PeftStep> {
  return await child.ask('step') as PeftStep
}
