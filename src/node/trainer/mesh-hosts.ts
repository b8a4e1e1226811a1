import { setTimeout as delay } from 'node:timers/promises'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import * as errors from '../../errors.js'
import type { Advert } from '../../protocols/advert/index.js'
import { Deadline } from '../../protocols/deadline.js'
import { describeDialError } from '../../protocols/dial-error.js'
import { pauseAfter } from '../../protocols/pauses.js'
import { stepClient, type StepClient } from '../../protocols/step/index.js'
import type { WeightNorms } from '../../tensor/weight-norms.js'
import type { JoinedJob } from '../jobs.js'
import type { ColaNode } from '../node.js'
import type { Reporter } from '../reporter.js'
import { sayingWhatFor, waitingForHost } from '../waiting.js'
import { RemoteHost, type RemoteHostInit } from './remote-host.js'
import type { Step, StepResult, StepRunner } from './step-runner.js'
import type { Wanted } from './wire-form.js'

export interface MeshHostsInit {
  readonly node: ColaNode
  readonly joined: JoinedJob
  /** What the job's base model is for. */
  readonly model: RemoteHostInit['model']
  /** What hosts are asked for. */
  readonly wanted: Wanted
  /** How long to look for a host before giving up, in milliseconds. */
  readonly patience: number
  /** The host that others of this trainer's jobs use, which is taken where it is on offer. */
  readonly choice: HostChoice
  readonly reporter: Reporter
}

/** A host that several jobs of one trainer have in common. */
export interface HostChoice { peer: string | undefined }

/** How long a host is passed over after its first failure, and at most, in milliseconds: it doubles with each in a row. */
const PAUSES = { first: 500, longest: 15_000 }

/** How often it is looked whether a pause is over, in milliseconds. */
const LOOK_INTERVAL = 250

/** What it makes no sense to try again once every host on offer has said so. */
const FINAL: readonly string[] = [
  errors.InvalidAdapterError, errors.InvalidBatchError, errors.InvalidOptionError, errors.MemoryLimitError, errors.NonFiniteError, errors.UnknownSiteError
].map(({ name }) => name)

interface Failure {
  readonly count: number
  readonly until: number
  readonly error: Error
}

/** Runs steps at whichever host of the job's model answers, and goes on at another one when it fails. */
export class MeshHosts implements StepRunner {
  readonly #init: MeshHostsInit
  readonly #client: StepClient
  readonly #failures = new Map<string, Failure>()
  #current: RemoteHost | undefined
  /** The search for the next one: all steps that are under way wait for one and the same. */
  #connecting: Promise<RemoteHost> | undefined
  /** Where steps have failed. */
  readonly #failedAt = new WeakMap<Error, RemoteHost>()
  /** Since when no step has gone well, in milliseconds since 1970. */
  #failingSince: number | undefined
  /** Times in a row that a host has said to wait. */
  #waits = 0
  /** The host at which the job was opened again because it had forgotten it. */
  #reopened: string | undefined

  constructor (init: MeshHostsInit) {
    this.#init = init
    this.#client = stepClient({ counter: init.node.pulses })(init.node.mesh)
  }

  async open (signal: AbortSignal): Promise<WeightNorms> {
    return (await this.#host(signal)).norms
  }

  async run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const host = await this.#host(signal)
    try {
      const result = await host.run(step, use, signal)
      this.#failingSince = undefined
      this.#waits = 0
      if (host === this.#current) this.#trust(host)
      return result
    } catch (error) {
      this.#failedAt.set(error as Error, host)
      throw error
    }
  }

  /** Of several steps that fail at one host the first has it passed over, and the others go where that one goes. */
  async recover (error: Error, signal: AbortSignal): Promise<void> {
    const host = this.#failedAt.get(error)
    if (host === undefined) throw error
    if (error.name === errors.QuotaError.name && host === this.#current && !this.#hasOther(host)) {
      await this.#wait(error, signal)
      return
    }
    if (host === this.#current) {
      this.#leave(host, error)
      if (this.#isFinal(error)) throw error
    }
    await this.#host(signal)
  }

  /** Whether another host is on offer that is not passed over. */
  #hasOther ({ peer: current }: RemoteHost): boolean {
    const now = Date.now()
    return this.#offers().some(({ peer }) => peer !== current.toString() && (this.#failures.get(peer)?.until ?? 0) <= now)
  }

  /** The host is well, and has enough of this trainer for now. */
  async #wait (error: Error, signal: AbortSignal): Promise<void> {
    if (this.#waits === 0) this.#init.reporter.log(`waiting for the host: ${error.message}`)
    await delay(pauseAfter(++this.#waits, PAUSES), undefined, { signal })
  }

  async #host (signal: AbortSignal): Promise<RemoteHost> {
    if (this.#current !== undefined) return this.#current
    this.#connecting ??= this.#next(signal).finally(() => { this.#connecting = undefined })
    return await this.#connecting
  }

  async #next (signal: AbortSignal): Promise<RemoteHost> {
    this.#current = await this.#connect(signal)
    return this.#current
  }

  #trust ({ peer }: RemoteHost): void {
    this.#failures.delete(peer.toString())
    this.#reopened = undefined
  }

  #leave (host: RemoteHost, error: Error): void {
    const peer = host.peer.toString()
    this.#current = undefined
    if (error.name === errors.UnknownJobError.name && this.#reopened !== peer) {
      this.#reopened = peer // it was restarted: open again
    } else {
      this.#pass(peer, error)
    }
  }

  /** Whether every host on offer has said no, or no step has gone well for as long as a host is looked for. */
  #isFinal ({ name }: Error): boolean {
    if (name === errors.QuotaError.name) return false // it is a matter of time
    this.#failingSince ??= Date.now()
    if (Date.now() - this.#failingSince > this.#init.patience) return true
    return FINAL.includes(name) && this.#offers().every(({ peer }) => FINAL.includes(this.#failures.get(peer)?.error.name ?? ''))
  }

  #offers (): Advert[] {
    const { node, joined: { job } } = this.#init
    return node.adverts.live().filter(({ model }) => model === job.model)
  }

  /** @throws {NoHostError} if no host is found in time; if there was one, and it failed, its error */
  async #connect (signal: AbortSignal): Promise<RemoteHost> {
    const { node, joined, model, patience, reporter, wanted } = this.#init
    const deadline = new Deadline(patience, `a host of ${joined.job.model}`, signal)
    try {
      for (;;) {
        const host = await sayingWhatFor(waitingForHost(joined.job.model, patience), line => reporter.log(line), this.#choose(deadline.signal))
        try {
          const opened = await RemoteHost.open({ node, client: this.#client, peer: host, joined, model, wanted }, deadline.signal)
          reporter.log(`using host ${host.toString()}`)
          return opened
        } catch (error) {
          deadline.signal.throwIfAborted()
          this.#pass(host.toString(), error as Error)
          if (this.#isFinal(error as Error)) throw error
        }
      }
    } catch (error) {
      signal.throwIfAborted()
      throw deadline.signal.aborted ? this.#noHost() : error
    } finally {
      deadline.clear()
    }
  }

  /** One of those that are on offer and not passed over, at random, so that trainers spread over hosts, but a trainer's jobs do not. */
  async #choose (signal: AbortSignal): Promise<PeerId> {
    const { choice, joined: { job: { model } } } = this.#init
    const search = new AbortController()
    this.#ask(model, AbortSignal.any([signal, search.signal])).catch(() => {}) // it ends with its signal
    try {
      for (;;) {
        signal.throwIfAborted()
        const now = Date.now()
        const open = this.#offers().filter(({ peer }) => (this.#failures.get(peer)?.until ?? 0) <= now)
        if (open.length > 0) {
          const { peer } = open.find(({ peer }) => peer === choice.peer) ?? open[Math.floor(Math.random() * open.length)]
          choice.peer = peer
          return peerIdFromString(peer)
        }
        await delay(LOOK_INTERVAL, undefined, { signal })
      }
    } finally {
      search.abort()
    }
  }

  /** Has the DHT asked, beside what is gossiped. */
  async #ask (model: string, signal: AbortSignal): Promise<void> {
    const { adverts, log } = this.#init.node
    for await (const { peer } of adverts.find(model, { signal })) log(`heard of host ${peer}`)
  }

  #pass (peer: string, error: Error): void {
    const count = (this.#failures.get(peer)?.count ?? 0) + 1
    this.#failures.set(peer, { count, until: Date.now() + pauseAfter(count, PAUSES), error })
    this.#init.reporter.log(`host ${peer}: ${error.name}: ${describeDialError(error)}; looking for another one`)
  }

  #noHost (): Error {
    const { patience, joined: { job: { model } } } = this.#init
    const reasons = [...this.#failures].map(([peer, { error }]) => `${peer}: ${describeDialError(error)}`)
    const named = [...this.#failures.values()].map(({ error }) => error)
    const [first] = named
    if (named.length > 0 && named.every(({ name }) => name === first.name) && first.name in errors) return first
    return new errors.NoHostError(`no host of model ${model} within ${patience / 1000} s${reasons.length === 0 ? '; start one with: colanet host --model DIR' : ` (${reasons.join('; ')})`}`)
  }
}
