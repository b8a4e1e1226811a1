import { listFiles, modelInfo } from '@huggingface/hub'
import { z } from 'zod'
import { DownloadError, InvalidModelError, InvalidOptionError } from '../errors.js'
import type { Checksum } from './checksum.js'
import type { HubConnection } from './connection.js'
import type { RepositoryName } from './refusal.js'

/** A file of a repository's first level. */
export interface RemoteFile {
  readonly name: string
  /** In bytes. */
  readonly size: number
  readonly checksum: Checksum
}

/** A repository as it is at one commit. */
export interface Repository extends RepositoryName {
  /** What the revision was when it was asked for. */
  readonly commit: string
  readonly files: readonly RemoteFile[]
}

/** As huggingface_hub has it, but that each part begins and ends with a letter, a digit or an underscore. */
const REPOSITORY_NAME = /^(\w[\w.-]{0,94}\w\/|\w\/)?(\w[\w.-]{0,94}\w|\w)$/

/** What git allows in the name of a branch or tag. */
const REVISION = /^[^\s~^:?*[\\\p{C}]+$/u

const treeEntry = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number().int().nonnegative(),
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().nonnegative() }).optional()
})

/** @throws {InvalidOptionError} if no repository or revision can have that name */
export function checkRepositoryName ({ name, revision }: RepositoryName): void {
  if (!REPOSITORY_NAME.test(name) || /--|\.\.|\.git$/.test(name)) {
    throw new InvalidOptionError(`${JSON.stringify(name)} is not the name of a model; use ORG/NAME, as the model's page on the Hub has it`)
  }
  if (!REVISION.test(revision) || /\.\.|^\.|^-/.test(revision)) {
    throw new InvalidOptionError(`${JSON.stringify(revision)} is not the name of a revision; use a branch, a tag or a commit`)
  }
}

/**
 * Finds the commit that the revision stands for now, and lists its files: whatever happens to the branch meanwhile,
 * all files are of that commit.
 *
 * @throws {InvalidOptionError} if there is no such repository or revision
 * @throws {InvalidModelError} if a name in it would leave the folder that it is put into
 * @throws {DownloadError} if the Hub cannot be reached, refuses, or answers what it should not
 */
export async function openRepository (connection: HubConnection): Promise<Repository> {
  const { access: { endpoint: hubUrl }, repository: { name, revision }, fetch } = connection
  try {
    const { sha: commit } = await modelInfo({ name, revision, additionalFields: ['sha'], hubUrl, fetch })
    if (!/^[0-9a-f]{40}$/.test(commit)) throw new TypeError('it names no commit')
    const files: RemoteFile[] = []
    for await (const listed of listFiles({ repo: { type: 'model', name }, revision: commit, hubUrl, fetch })) {
      const entry = treeEntry.parse(listed)
      checkPath(entry.path, name)
      if (entry.type === 'file' && !entry.path.includes('/')) files.push(remoteFile(entry))
    }
    return { name, revision, commit, files }
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof SyntaxError || cause instanceof z.ZodError)) throw cause
    throw new DownloadError(`${hubUrl} does not answer as a hub does; see that HF_ENDPOINT is right, and that no proxy answers in its place`, { cause })
  }
}

function remoteFile ({ path, size, oid, lfs }: z.infer<typeof treeEntry>): RemoteFile {
  return lfs === undefined
    ? { name: path, size, checksum: { kind: 'git', value: oid } }
    : { name: path, size: lfs.size, checksum: { kind: 'sha256', value: lfs.oid } }
}

/** Also what leaves a folder only on other systems is refused: nobody has a reason to call a file that. */
function checkPath (path: string, repository: string): void {
  if (/^$|^\/|\\|^[a-z]:|(^|\/)\.\.?(\/|$)|\p{Cc}/iu.test(path)) {
    throw new InvalidModelError(`${repository} lists a file ${JSON.stringify(path)}, which would leave the folder that it is put into; nothing of it is taken`)
  }
}
