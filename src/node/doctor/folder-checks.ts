import { randomBytes } from 'node:crypto'
import { rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { IDENTITY_FILE, loadIdentity } from '../identity.js'
import { type Check, failed, ok, skipped } from './check.js'

const OTHER_FOLDER = 'choose another folder with --folder'

/** Whether the key is whole, and nobody else may read it. */
export function identityCheck (folder: string): Check {
  const path = join(folder, IDENTITY_FILE)
  return {
    name: 'identity',
    unended: `see that ${path} can be read`,
    look: async () => {
      const file = await stat(path).catch(unlessAbsent)
      if (file === undefined) return ok('none yet: the first start makes one')
      const { type } = await loadIdentity(folder)
      const readable = process.platform !== 'win32' && (file.mode & 0o077) !== 0
      if (readable) return failed(`${path} has mode ${(file.mode & 0o777).toString(8)}: others of this machine may be this peer`, `chmod 600 ${path}`)
      return ok(`${type} key in ${path}`)
    }
  }
}

/** Whether files can be made in a node's folder, or where it would be made. */
export function folderCheck (folder: string): Check {
  return {
    name: 'folder',
    unended: `see that ${folder} can be written to, or ${OTHER_FOLDER}`,
    look: async () => {
      const place = await existing(folder)
      if (!(await stat(place)).isDirectory()) return failed(`${place} is a file`, OTHER_FOLDER)
      const probe = join(place, `.${randomBytes(4).toString('hex')}.probe`)
      try {
        await writeFile(probe, '')
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        if (code === 'ENOSPC') return skipped('the disk is full')
        return failed(message, `have ${place} be a folder that this user may write to (chown, chmod), or ${OTHER_FOLDER}`)
      } finally {
        await rm(probe, { force: true })
      }
      return ok(place === resolve(folder) ? `${place} can be written to` : `${folder} can be made`)
    }
  }
}

/** @param wanted bytes that shall be free for checkpoints and adapters */
export function diskCheck (folder: string, wanted: number): Check {
  return {
    name: 'disk',
    unended: `see that the disk of ${folder} answers, or ${OTHER_FOLDER}`,
    look: async () => {
      const { bavail, bsize } = await statfs(await existing(folder))
      const free = bavail * bsize
      const text = `${Math.floor(free / 1e6)} MB free at ${folder}`
      return free >= wanted ? ok(text) : failed(`${text}; checkpoints and adapters want ${Math.ceil(wanted / 1e6)} MB`, `make room on that disk, or ${OTHER_FOLDER}`)
    }
  }
}

/** The path, or what there is of it. */
async function existing (path: string): Promise<string> {
  for (let place = resolve(path); ; place = dirname(place)) {
    if (await stat(place).catch(unlessAbsent) !== undefined || place === dirname(place)) return place
  }
}

function unlessAbsent (error: unknown): undefined {
  if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
}
