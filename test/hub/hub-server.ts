import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** Files of a commit, by path. */
export type Files = Readonly<Record<string, Buffer>>

export interface HubModel {
  /** By commit. */
  readonly commits: Readonly<Record<string, Files>>
  /** Commits by branch or tag. */
  readonly revisions: Record<string, string>
  /** Who may have the files, where not everybody may. */
  readonly gatedTo?: readonly string[]
  /** Who may know of it, where not everybody may. */
  readonly privateTo?: readonly string[]
}

/** A request that came, and how it was answered. */
export interface Seen {
  readonly host: 'hub' | 'cdn'
  readonly path: string
  readonly authorization: string | undefined
  readonly range: string | undefined
  /** Bytes of content. */
  sent: number
}

/** What goes wrong with the content of a file. */
export interface Fault {
  /** The connection breaks after so many bytes, of which some may be lost on their way. */
  readonly cutAfter?: number
  /** The answer ends as if it were whole after so many bytes. */
  readonly endAfter?: number
  /** Nothing more comes after so many bytes, and the connection stays until `cut`. */
  readonly stallAfter?: number
  /** Other bytes of the same length come. */
  readonly altered?: true
  /** More bytes come than there are. */
  readonly longer?: true
  /** The whole comes, whatever was asked for. */
  readonly wholeAlways?: true
  readonly status?: number
}

/** What is answered in place of what there is: something else, nothing, or less than nothing. */
export type Answer = { readonly status?: number, readonly headers?: Readonly<Record<string, string>>, readonly body?: string } | 'stall' | 'cut'

/** Commits of these tests. */
export const [FIRST_COMMIT, SECOND_COMMIT] = ['a'.repeat(40), 'b'.repeat(40)]

/** Entries of a list's page, so that most lists have several. */
const PAGE = 3

/** The files of a folder, without its subfolders. */
export async function filesOf (folder: string): Promise<Files> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(entry => entry.isFile())
  return Object.fromEntries(await Promise.all(entries.map(async ({ name }) => [name, await readFile(join(folder, name))] as const)))
}

/** A model with one commit. */
export function modelOf (files: Files): HubModel {
  return { commits: { [FIRST_COMMIT]: files }, revisions: { main: FIRST_COMMIT } }
}

/**
 * Speaks the Hub's API on this machine: what a model is at a revision, its files page by page, and their content, that of
 * safetensors on a second server, to which the first one sends with an address that is signed.
 */
export class HubServer {
  readonly models: Record<string, HubModel>
  readonly requests: Seen[] = []
  /** Tokens that somebody has. */
  readonly tokens: readonly string[] = ['hf_reader', 'hf_stranger']
  /** Is asked at each content. */
  fault: (file: string, range: string | undefined) => Fault | undefined = () => undefined
  /** Is asked at each request of the hub, before it answers itself. */
  answer: (path: string) => Answer | undefined = () => undefined
  readonly #hub: Server
  readonly #cdn: Server
  readonly #stalled = new Set<ServerResponse>()
  readonly #blobs = new Map<string, { name: string, content: Buffer }>()

  private constructor (models: Record<string, HubModel>) {
    this.models = models
    this.#hub = createServer(this.#onHub)
    this.#cdn = createServer(this.#onCdn)
  }

  static async start (models: Record<string, HubModel>): Promise<HubServer> {
    const server = new HubServer(models)
    for (const one of [server.#hub, server.#cdn]) await once(one.listen(0, '127.0.0.1'), 'listening')
    return server
  }

  get url (): string {
    return address(this.#hub)
  }

  /** Those that were answered with a file's bytes. */
  get contents (): readonly Seen[] {
    return this.requests.filter(({ sent }) => sent > 0)
  }

  /** Breaks the connections on which nothing more comes. */
  cut (): void {
    for (const response of this.#stalled) response.destroy()
    this.#stalled.clear()
  }

  async stop (): Promise<void> {
    for (const one of [this.#hub, this.#cdn]) {
      one.closeAllConnections()
      one.close()
      await once(one, 'close')
    }
  }

  #see (host: Seen['host'], { url = '', headers }: IncomingMessage): Seen {
    const seen: Seen = { host, path: url, authorization: headers.authorization, range: headers.range, sent: 0 }
    this.requests.push(seen)
    return seen
  }

  readonly #onHub = (request: IncomingMessage, response: ServerResponse): void => {
    const seen = this.#see('hub', request)
    const instead = this.answer(seen.path)
    if (instead === undefined) this.#respond(response, seen)
    else if (instead === 'cut') response.destroy()
    else if (instead !== 'stall') response.writeHead(instead.status ?? 200, instead.headers).end(instead.body)
  }

  #respond (response: ServerResponse, seen: Seen): ServerResponse {
    const token = seen.authorization?.replace('Bearer ', '')
    const { pathname, searchParams } = new URL(seen.path, this.url)
    if (token !== undefined && !this.tokens.includes(token)) return refuse(response, 401, undefined, 'Invalid credentials in Authorization header')
    const [, name, what, revision, path] = /^(?:\/api\/models)?\/([^/]+(?:\/[^/]+)?)\/(revision|tree|resolve)\/([^/]+)\/?(.*)$/.exec(pathname)?.map(decodeURIComponent) ?? []
    const model = Object.hasOwn(this.models, name) ? this.models[name] : undefined
    if (model === undefined || !allowed(model.privateTo, token)) return refuse(response, token === undefined ? 401 : 404, 'RepoNotFound')
    const commit = Object.hasOwn(model.commits, revision) ? revision : model.revisions[revision]
    if (!Object.hasOwn(model.commits, commit)) return refuse(response, 404, 'RevisionNotFound')
    const files = model.commits[commit]
    if (what === 'revision') return json(response, { _id: 'x', id: name, private: false, gated: false, downloads: 1, likes: 1, lastModified: '2024-01-01T00:00:00Z', sha: commit })
    if (what === 'tree') return this.#list(response, pathname, files, Number(searchParams.get('cursor') ?? 0))
    if (!allowed(model.gatedTo, token)) return refuse(response, token === undefined ? 401 : 403, 'GatedRepo')
    if (!Object.hasOwn(files, path)) return refuse(response, 404, 'EntryNotFound')
    const content = files[path]
    response.setHeader('X-Repo-Commit', commit)
    if (!isLarge(path)) return this.#send(response, seen, path, content)
    const id = sha256(content)
    this.#blobs.set(id, { name: path, content })
    return response.writeHead(302, { location: `${address(this.#cdn)}/${id}?signature=x`, 'X-Linked-Size': content.byteLength, 'X-Linked-Etag': `"${id}"` }).end()
  }

  readonly #onCdn = (request: IncomingMessage, response: ServerResponse): void => {
    const seen = this.#see('cdn', request)
    const { name, content } = this.#blobs.get(new URL(seen.path, this.url).pathname.slice(1))!
    this.#send(response, seen, name, content)
  }

  #list (response: ServerResponse, pathname: string, files: Files, cursor: number): ServerResponse {
    const entries = [
      ...Object.entries(files).map(([path, content]) => ({
        type: 'file', path, size: content.byteLength, oid: blobId(content), ...(isLarge(path) && { lfs: { oid: sha256(content), size: content.byteLength, pointerSize: 134 } })
      })),
      { type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }
    ]
    if (cursor + PAGE < entries.length) response.setHeader('Link', `<${this.url}${pathname}?cursor=${cursor + PAGE}>; rel="next"`)
    return json(response, entries.slice(cursor, cursor + PAGE))
  }

  #send (response: ServerResponse, seen: Seen, name: string, content: Buffer): ServerResponse {
    const fault = this.fault(name, seen.range) ?? {}
    if (fault.status !== undefined) return refuse(response, fault.status, undefined)
    const begin = fault.wholeAlways === true ? 0 : Number(/^bytes=(\d+)-$/.exec(seen.range ?? '')?.[1] ?? 0)
    const whole = fault.altered === true ? content.map(byte => byte ^ 1) : content
    const body = fault.longer === true ? Buffer.concat([whole, whole]) : whole.subarray(begin)
    const part = body.subarray(0, fault.cutAfter ?? fault.endAfter ?? fault.stallAfter ?? body.byteLength)
    seen.sent = part.byteLength
    response.writeHead(begin > 0 ? 206 : 200, {
      etag: `"${sha256(content)}"`,
      ...(begin > 0 && { 'content-range': `bytes ${begin}-${content.byteLength - 1}/${content.byteLength}` }),
      ...(fault.endAfter === undefined && { 'content-length': body.byteLength })
    })
    response.write(part, () => {
      if (fault.cutAfter !== undefined) response.destroy()
      else if (fault.stallAfter !== undefined) this.#stalled.add(response)
      else response.end()
    })
    return response
  }
}

/** As the Hub keeps them in its large storage. */
function isLarge (path: string): boolean {
  return path.endsWith('.safetensors') || path.endsWith('.bin')
}

function allowed (to: readonly string[] | undefined, token: string | undefined): boolean {
  return to === undefined || (token !== undefined && to.includes(token))
}

function address (server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function json (response: ServerResponse, value: unknown): ServerResponse {
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function refuse (response: ServerResponse, status: number, code: string | undefined, message = 'No'): ServerResponse {
  return response.writeHead(status, { ...(code !== undefined && { 'X-Error-Code': code }), 'X-Error-Message': message }).end(message)
}

function sha256 (content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Git's name of a content. */
function blobId (content: Uint8Array): string {
  return createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex')
}
