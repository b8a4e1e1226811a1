import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pEvent } from 'p-event'
import type { TrainReport } from '../../src/node/trainer/train.js'
import { errorName, startCli, type Started } from '../cli/run-cli.js'

/** Real nodes in processes of their own, which find each other and nobody else. */
export class Scene {
  readonly folder: string
  readonly #running = new Set<Started>()

  readonly #main: string | undefined

  private constructor (folder: string, main: string | undefined) {
    this.folder = folder
    this.#main = main
  }

  /** @param main of the command line @default its sources */
  static async open (main?: string): Promise<Scene> {
    return new Scene(await mkdtemp(join(tmpdir(), 'colanet-scene-')), main)
  }

  async close (): Promise<void> {
    await Promise.all([...this.#running].map(async started => {
      started.process.kill('SIGKILL')
      await started.ended
    }))
    await rm(this.folder, { recursive: true, force: true })
  }

  host (name: string, ...args: string[]): Started {
    return this.#start(['host', ...this.#node(name), ...args])
  }

  train (name: string, ...args: string[]): Started {
    return this.#start(['train', ...this.#node(name), ...args])
  }

  /** Who finds the others by nothing but the invite. */
  join (name: string, invite: string, ...args: string[]): Started {
    return this.#start(['join', invite, ...this.#node(name, 'none'), ...args])
  }

  local (name: string, ...args: string[]): Started {
    return this.#start(['train', '--local', '--folder', join(this.folder, name), ...args])
  }

  #node (name: string, discovery = join(this.folder, 'local')): string[] {
    return ['--folder', join(this.folder, name), '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', '--local-discovery', discovery]
  }

  #start (args: readonly string[]): Started {
    const started = startCli([...args, '--json'], this.#main === undefined ? {} : { main: this.#main })
    this.#running.add(started)
    started.ended.then(() => this.#running.delete(started), () => this.#running.delete(started))
    return started
  }
}

/** The report of a trainer that has ended well. */
export async function reportOf ({ ended }: Started): Promise<TrainReport> {
  const { code, stdout, stderr } = await ended
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`)
  return JSON.parse(stdout) as TrainReport
}

/** The exit code, and the name of the error. */
export async function failureOf ({ ended }: Started): Promise<{ code: number | null, name: string, stdout: string, stderr: string }> {
  const { code, stdout, stderr } = await ended
  return { code, name: errorName(stdout), stdout, stderr }
}

/** Ends when a process has said something that matches. @returns what matches */
export async function saidBy ({ process, ended }: Started, pattern: RegExp): Promise<string> {
  let said = ''
  const heard = pEvent<'data', Buffer>(process.stderr, 'data', {
    filter: chunk => {
      said += chunk.toString()
      return pattern.test(said)
    },
    timeout: 60_000
  })
  await Promise.race([heard, ended.then(({ stderr }) => { throw new Error(`it ended without saying ${pattern.source}: ${stderr}`) })])
  return pattern.exec(said)![0]
}
