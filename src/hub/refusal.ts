import { DownloadError, InvalidOptionError } from '../errors.js'
import type { HubAccess } from './access.js'
import { TransientError } from './retrying.js'

/** Statuses of a server that is busy or broken for a moment. */
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504])

/** The longest that we wait because a server says so, in milliseconds: more than a person would think it hangs. */
const MAX_WAIT = 60_000

/** Characters of a server's own message that are shown. */
const MAX_MESSAGE = 200

/** What is asked for. */
export interface RepositoryName {
  /** `ORG/NAME`. */
  readonly name: string
  /** A branch, a tag or a commit. */
  readonly revision: string
}

/**
 * The error that a status other than success stands for. The Hub says in `X-Error-Code` what it means; a repository that
 * we may not see looks as if it were not there.
 */
export function refusal (
  { status, headers, url }: Pick<Response, 'status' | 'headers' | 'url'>, { name, revision }: RepositoryName, { endpoint, token }: HubAccess
): Error {
  const code = headers.get('X-Error-Code')
  // Addresses on other hosts are signed for a while, and the Hub gives a new one when it is asked again.
  const expired = new URL(url).origin !== new URL(endpoint).origin && code === null
  if (TRANSIENT.has(status) || expired) return new TransientError(`${new URL(url).host} answers with status ${status}`, { wait: waitOf(headers) })
  const page = `${endpoint}/${name}`
  const tokens = `${endpoint}/settings/tokens`
  if (code === 'GatedRepo' || (status === 403 && code === null)) {
    return new DownloadError(token === undefined
      ? `${name} is given only to those who accepted its licence: accept it at ${page}, and set HF_TOKEN to a token of yours (${tokens})`
      : `${name} is not given to the owner of the token of ${token.source}: accept its licence at ${page}, and see at ${tokens} that the token may read it; some authors answer each request themselves, which takes time`)
  }
  if (code === 'RevisionNotFound') return new InvalidOptionError(`${name} has no revision ${revision}; use main, or another branch, tag or commit that ${page}/tree/main lists`)
  if (status === 401 && token !== undefined && code !== 'RepoNotFound') {
    return new DownloadError(`${endpoint} does not accept the token of ${token.source}; make a new one at ${tokens}, or take that one away for what is public`)
  }
  if (code === 'EntryNotFound') return new DownloadError(`${name} lists a file at ${revision} that ${endpoint} does not have; try again later, or another revision`)
  if (status === 401 || status === 404) {
    return new InvalidOptionError(`there is no model ${name} at ${endpoint}, or it is private${token === undefined ? '' : ` and the token of ${token.source} may not read it`}: check the name; for a private one set HF_TOKEN to a token that may read it (${tokens})`)
  }
  return new DownloadError(`${new URL(url).host} answers with status ${status}${said(headers)}`)
}

/** How long `Retry-After` asks to wait, in milliseconds. */
function waitOf (headers: Headers): number {
  const seconds = Number(headers.get('Retry-After') ?? 0)
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0) * 1000, MAX_WAIT) : 0
}

function said (headers: Headers): string {
  const message = (headers.get('X-Error-Message') ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, MAX_MESSAGE)
  return message === '' ? '' : `: ${message}`
}
