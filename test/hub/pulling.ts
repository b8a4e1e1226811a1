import { HubConnection } from '../../src/hub/connection.js'
import type { HubServer } from './hub-server.js'

export const MODEL = 'acme/tiny'

/** Tries twice more, at once, and waits 0.3 seconds for a server that says nothing. */
export function connect (
  { url }: Pick<HubServer, 'url'>,
  { name = MODEL, revision = 'main', token, signal = new AbortController().signal, log = () => {} }:
  { readonly name?: string, readonly revision?: string, readonly token?: string, readonly signal?: AbortSignal, readonly log?: (line: string) => void } = {}
): HubConnection {
  return new HubConnection({
    access: { endpoint: url, ...(token !== undefined && { token: { value: token, source: 'HF_TOKEN' } }) },
    repository: { name, revision },
    signal,
    log,
    idleTimeout: 300,
    retryDelays: [0, 0]
  })
}
