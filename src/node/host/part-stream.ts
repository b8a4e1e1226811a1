import { ReadableStream, type ReadableStreamDefaultController } from 'node:stream/web'
import type { EncodedPart } from './encoded-part.js'

/** Parts that come one after the other, read once, as they come or later. */
export class PartStream {
  readonly parts: AsyncIterable<EncodedPart>
  #controller: ReadableStreamDefaultController<EncodedPart> | undefined

  constructor () {
    this.parts = new ReadableStream<EncodedPart>({
      start: controller => { this.#controller = controller },
      cancel: () => { this.#controller = undefined } // nobody reads on
    })
  }

  push (part: EncodedPart): void {
    this.#controller?.enqueue(part)
  }

  end (): void {
    this.#controller?.close()
    this.#controller = undefined
  }

  fail (error: Error): void {
    this.#controller?.error(error)
    this.#controller = undefined
  }
}
