import { z } from 'zod'
import { InvalidDataError } from '../errors.js'

const messageSchema = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })

const messagesSchema = z.array(messageSchema)
  .refine(messages => messages.some(({ role }) => role === 'assistant'), 'no message of the assistant, and only those are trained on')
  .refine(messages => messages.every(({ role, content }) => role !== 'assistant' || content !== ''), 'a message of the assistant is empty')

/** What one side says in a conversation. */
export type Message = Readonly<z.infer<typeof messageSchema>>

/**
 * A conversation in which the assistant says something. Other keys of a message are passed over.
 *
 * @throws {InvalidDataError} naming the source
 */
export function parseMessages (value: unknown, source: string): readonly Message[] {
  const parsed = messagesSchema.safeParse(value)
  if (!parsed.success) {
    throw new InvalidDataError(`${source}: messages are [{"role": "system, user or assistant", "content": "…"}, …]; in these: ${z.prettifyError(parsed.error)}`)
  }
  return parsed.data
}
