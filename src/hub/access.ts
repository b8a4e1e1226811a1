import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { InvalidOptionError } from '../errors.js'

const HUB = 'https://huggingface.co'

/** Variables that may hold a token, in the order in which huggingface_hub looks at them. */
const TOKEN_VARIABLES = ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']

/** Where the Hub is, and as whom we ask. */
export interface HubAccess {
  /** Address without a slash at its end. */
  readonly endpoint: string
  readonly token?: Token
}

interface Token {
  /** Never to be shown. */
  readonly value: string
  /** Where it was found, for people. */
  readonly source: string
}

/**
 * As huggingface_hub has it: the endpoint is `HF_ENDPOINT`; the token is that of `HF_TOKEN`, or what
 * `huggingface-cli login` wrote.
 *
 * @param env of the process
 * @param home folder of the user
 * @throws {InvalidOptionError} if one of them cannot be used; it does not show the token
 */
export async function hubAccess (env: Readonly<Record<string, string | undefined>>, home = homedir()): Promise<HubAccess> {
  const endpoint = checkEndpoint(given(env.HF_ENDPOINT) ?? HUB)
  const token = await findToken(env, home)
  if (token === undefined) return { endpoint }
  if (!/^[\x21-\x7e]+$/.test(token.value)) {
    throw new InvalidOptionError(`the token of ${token.source} has spaces, or characters that no header may have; copy it again from ${endpoint}/settings/tokens`)
  }
  return { endpoint, token }
}

async function findToken (env: Readonly<Record<string, string | undefined>>, home: string): Promise<Token | undefined> {
  for (const source of TOKEN_VARIABLES) {
    const value = given(env[source])
    if (value !== undefined) return { value, source }
  }
  const cache = given(env.HF_HOME) ?? join(given(env.XDG_CACHE_HOME) ?? join(home, '.cache'), 'huggingface')
  const source = given(env.HF_TOKEN_PATH) ?? join(cache, 'token')
  const value = given(await readFile(source, 'utf8').catch(() => undefined))
  return value === undefined ? undefined : { value, source }
}

function checkEndpoint (address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new InvalidOptionError(`HF_ENDPOINT is not the address of a hub; use one such as ${HUB}, without user, password or query`)
  }
  return url.href.replace(/\/+$/, '')
}

/** What is empty counts as not given. */
function given (value: string | undefined): string | undefined {
  const trimmed = value?.trim()
  return trimmed === '' ? undefined : trimmed
}
