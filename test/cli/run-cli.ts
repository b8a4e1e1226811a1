import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'

const ROOT = join(import.meta.dirname, '..', '..')
const MAIN = join(ROOT, 'src', 'cli', 'main.ts')

/** What `npm run build` made. */
export const BUILT = join(ROOT, 'dist', 'cli', 'main.js')

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  readonly ended: Promise<Ended>
}

/** Runs the real command line in a process of its own, from its sources unless told otherwise. */
export async function runCli (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return await startCli(args, { env }).ended
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly main?: string
  /** Words before the command, which run it elsewhere. */
  readonly within?: readonly string[]
}

export function startCli (args: readonly string[], { env = {}, main = MAIN, within = [] }: StartOptions = {}): Started {
  const [program, ...words] = [...within, process.execPath, ...main.endsWith('.ts') ? ['--import', 'tsx'] : [], main, ...args]
  const child = spawn(program, words, {
    cwd: ROOT,
    env: { ...process.env, DEBUG: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc']
  }) as ChildProcessByStdio<null, Readable, Readable>
  const output = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return {
    process: child,
    ended: output.then(([stdout, stderr, [code]]) => ({ code: code as number | null, stdout, stderr }))
  }
}

/** The name of the error in the one JSON object on standard output. */
export function errorName (stdout: string): string {
  return (JSON.parse(stdout) as { error: { name: string } }).error.name
}
