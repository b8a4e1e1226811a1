import { InvalidDataError } from '../errors.js'
import type { RenderChat } from '../types.js'
import type { Message } from './messages.js'

/** What is asked, from the end of the answer before, and the answer with what the model ends it with. */
export interface Turn {
  readonly asked: string
  readonly answer: string
}

/**
 * Cuts a conversation's text where answers begin and end, by the prefix method: what an answer adds to the conversation
 * before it, up to where the model would begin to answer. What follows the last answer is left out.
 *
 * @param source of the conversation
 * @throws {InvalidDataError} naming the source, if the chat template refuses it, or shows earlier messages otherwise as
 * others follow
 */
export function turnsOf (messages: readonly Message[], render: RenderChat, source: string): Turn[] {
  const text = (length: number, open: boolean): string => {
    try {
      return render(messages.slice(0, length), open)
    } catch (cause) {
      throw new InvalidDataError(`${source}: the model's chat template does not take these messages: ${(cause as Error).message}`, { cause })
    }
  }
  const turns: Turn[] = []
  let before = ''
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant') continue
    const open = text(i, true)
    const closed = text(i + 1, false)
    const answer = closed.slice(open.length)
    if (!open.startsWith(before) || !closed.startsWith(open) || answer === '') {
      throw new InvalidDataError(`${source}: this model's chat template cannot be trained on answers only: it shows earlier messages otherwise as message ${i + 1} follows; use rows with prompt and completion`)
    }
    turns.push({ asked: open.slice(before.length), answer })
    before = closed
  }
  return turns
}
