import { createHash } from 'node:crypto'
import { mkdir, realpath, rm } from 'node:fs/promises'
import { createServer, connect, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pEvent } from 'p-event'
import { FolderInUseError } from '../errors.js'

/**
 * Makes a node's folder if it is not there, and takes it for this process: two nodes with one identity would speak over
 * each other. The lock is a listening socket, which ends with the process, however that ends.
 *
 * @returns gives the folder free
 * @throws {FolderInUseError} if another process has it
 */
export async function lockFolder (folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true })
  const path = socketPath(await realpath(folder))
  const server = await listen(path) ?? await takeOver(path)
  if (server === undefined) {
    throw new FolderInUseError(`${folder} is used by another process; stop that one, or give this one a folder of its own with --folder`)
  }
  server.unref()
  return async () => {
    server.close()
    await pEvent(server, 'close')
  }
}

/** Socket paths must be short, so that they cannot be in the folder itself. Linux has names that leave no file behind. */
function socketPath (folder: string): string {
  const name = `colanet-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`
  if (process.platform === 'win32') return `\\\\.\\pipe\\${name}`
  if (process.platform === 'linux') return `\0${name}`
  return join(tmpdir(), `${name}.lock`)
}

async function listen (path: string): Promise<Server | undefined> {
  const server = createServer(socket => socket.end())
  server.listen(path)
  try {
    await pEvent(server, 'listening')
    return server
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined
    throw error
  }
}

/** A socket file where nobody listens is what a killed process leaves. */
async function takeOver (path: string): Promise<Server | undefined> {
  const socket = connect(path)
  try {
    await pEvent(socket, 'connect')
    return undefined
  } catch {
    if (!path.startsWith('\0')) await rm(path, { force: true })
    return await listen(path)
  } finally {
    socket.destroy()
  }
}
