import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Batches } from '../../data/batches.js'
import type { EngineOptions } from '../../engine/open-engine.js'
import { InvalidInviteError, ProtocolError } from '../../errors.js'
import { jobId } from '../../job.js'
import { countedByRow, predictedBy } from '../../model/tasks/tasks.js'
import type { Accounts } from '../../protocols/traffic.js'
import type { Mode, Task, WireForm } from '../../types.js'
import type { Host } from '../host/host.js'
import type { JoinedJob } from '../jobs.js'
import type { ColaNode } from '../node.js'
import { CheckpointFile, type Progress } from './checkpoint.js'
import { evaluate } from './evaluate.js'
import { startLearner } from './fits/start-learner.js'
import type { TrainOptions } from './options.js'
import { outcomeOf, writeOutcome } from './outcome.js'
import { type LocalContext, locally, meshPlace, type Place, type TrainContext } from './place.js'
import { type Plan, planOf, runId } from './plan.js'
import { type Forgetting, Review } from './review.js'
import { describePrivacy, explained, privacyOf, type PrivacyReport } from './privacy.js'
import { settle } from './settle.js'
import { reach } from './staleness.js'
import { standingIn } from './standing.js'
import type { StepRunner } from './step-runner.js'
import { speed, Training } from './training.js'
import { readTrainingData } from './training-data.js'
import { checkWire, describeWire, wireFormOf } from './wire-form.js'

/** What a trainer has done. */
export interface TrainReport extends Accounts {
  /** Id of the job. */
  readonly job: string
  readonly name: string
  readonly mode: Mode
  /** Id of the base model. */
  readonly model: string
  /** What it is for. */
  readonly task: Task
  /** What computes the fits, and where host and trainer are one process the passes too. */
  readonly engine: string
  /** Null where there is no network. */
  readonly peer: string | null
  readonly steps: number
  /**
   * One a step, taken before that step's fit: the mean over predictions, in nats, or where the model gives a number squared.
   * Of private training they are not private, and a step for which no row was drawn has none.
   */
  readonly losses: readonly number[]
  /** Predictions that counted in the losses: of a token each, or a row. */
  readonly tokens: number
  readonly tokensPerSecond: number
  /** Losses on what is never trained on; null where nothing is held out. */
  readonly heldOut: { readonly base: number | null, readonly adapted: number | null }
  /** What has become of earlier tasks that are reviewed. */
  readonly forgetting: readonly Forgetting[]
  /** The form in which adaptation data came. */
  readonly wire: WireForm
  /** Steps that were one pass at the host with steps of others. */
  readonly sharedSteps: number
  /** Steps whose data were made with an auxiliary that had been fitted since: tries that were refused, and those that were weighted less. */
  readonly stale: Progress['stale']
  /** What training was private by, and what that costs; null where it was not. */
  readonly privacy: PrivacyReport | null
  /** Names α·ΔW as this member has it in the end. */
  readonly deltaHash: string
  readonly members: ReadonlyArray<{ readonly peer: string, readonly round: number, readonly tokens: number }>
  /** The folder that the adapter was written to. */
  readonly adapter: string
}

const NO_PROGRESS: Progress = { step: 0, tokens: 0, losses: [], milliseconds: 0, sharedSteps: 0, baseLoss: null, stale: { refused: 0, decayed: 0 } }

/** How often a host is asked again that does not have all contributions yet, in milliseconds. */
const STATE_INTERVAL = 500

/**
 * Host and trainer in this process, without a network.
 *
 * @throws what `ModelThread.open` and `Training.run` throw
 */
export async function trainLocally (options: TrainOptions, context: LocalContext, engine: EngineOptions = {}): Promise<TrainReport> {
  return await locally(options, context, engine, async (place, own) => await trainAt(place, options, own))
}

/**
 * At a host of the mesh, or at the node's own where it serves the wanted model.
 *
 * @throws {NoHostError} if there is none; what `Training.run` throws
 */
export async function trainInMesh (node: ColaNode, options: TrainOptions, context: TrainContext, own?: Host): Promise<TrainReport> {
  return await trainAt(await meshPlace(node, options, context, own), options, context)
}

/** @throws what `Training.run` throws */
export async function trainAt (place: Place, options: TrainOptions, context: TrainContext): Promise<TrainReport> {
  const { reporter, signal, folder } = context
  const { source: { info }, jobs } = place
  const plan = await planOf(options, info)
  const { auxiliary, fitted: sites } = plan
  checkInvited(plan, context)
  checkWire(options.wire, auxiliary)
  const data = await readTrainingData(options, place.source, reporter, signal)
  const joined = jobs.join(plan.job, plan.sites)
  const invite = place.invite?.(plan)
  if (invite !== undefined) reporter.log(`others join with: colanet join ${invite} --data THEIR-OWN`)
  const run = runId(options, plan, data.fingerprint)
  const checkpoint = new CheckpointFile(join(folder, 'checkpoints', `${place.lasting ? joined.id : run}.safetensors`), run)
  const saved = await checkpoint.load()
  const privacy = privacyOf(options, data.rows, info, saved?.learner)
  const wire = wireFormOf(privacy === undefined ? options.wire : 'f32', auxiliary, sites, await data.at(0))
  const runner = place.runner(joined, { wire, auxiliary, sites })
  const { step } = saved?.progress ?? NO_PROGRESS
  if (step > 0) reporter.log(step < options.steps ? `resuming job ${options.job} after step ${step}` : `job ${options.job} is done; to train anew, give another --job or other settings`)
  if (options.ahead > 0 && reach(0, options) === 1) reporter.log('--ahead changes nothing with --interval 1: with --stale refuse each step waits for the fit before it')
  const norms = await runner.open(signal)
  if (place.lasting) reporter.log(`the host sends ${describeWire(wire)}`)
  if (privacy !== undefined) reporter.log(`private: ${describePrivacy(privacy.report(options.steps))}`)
  const start = { norms, ...(privacy && { privacy: privacy.fits }) }
  const learner = await startLearner(options, { ...plan, start: saved?.adapter ?? plan.start }, start, line => reporter.log(line))
  try {
    if (saved !== undefined) await learner.restore(saved.learner)
    const standing = await standingIn(joined, learner)
    const training = new Training({
      joined,
      runner,
      learner,
      standing,
      at: privacy?.at ?? data.at,
      counts: batch => countedByRow(batch, info),
      ...(privacy && { tokensOf: privacy.tokensOf }),
      checkpoint,
      steps: options.steps,
      expected: options.members,
      pace: options,
      unit: predictedBy(info.task),
      reporter
    }, saved?.progress ?? NO_PROGRESS, saved?.older)
    await takeBaseLoss(training, runner, data.heldOut, context)
    const review = await Review.begin({ options, earlier: plan.composed?.adapters ?? new Map(), source: place.source, jobs, runner: place.runner, reporter }, signal)
    await training.contribute(step === options.steps)
    await training.run(signal).catch((error: unknown) => { throw privacy === undefined ? error : explained(error) })
    if (plan.job.mode !== 'alone') await settle(joined, { expected: options.members, patience: options.patience * 1000, reporter }, signal)
    const adapted = await takeAdaptedLoss(training, runner, joined, data.heldOut, options.patience * 1000, context)
    const forgetting = await review.end(runner, training.contribution, signal)
    const outcome = outcomeOf(joined)
    const out = options.out ?? join(folder, 'adapters', options.job)
    await writeOutcome(out, outcome, info)
    if (!place.lasting) await checkpoint.remove()
    return reportOf(place, context, joined, training, { wire, adapted, privacy: privacy?.report(training.progress.step) ?? null, forgetting, deltaHash: outcome.deltaHash, adapter: out })
  } finally {
    await learner.dispose()
  }
}

function checkInvited ({ job }: Plan, { expected }: TrainContext): void {
  const id = jobId(job)
  if (expected === undefined || id === expected) return
  throw new InvalidInviteError(`the invite is to job ${expected}, and its settings are those of job ${id}: have both sides run the same colanet`)
}

async function takeBaseLoss (training: Training, runner: StepRunner, batches: Batches, { reporter, signal }: TrainContext): Promise<void> {
  if (training.progress.baseLoss !== null) return
  const onProgress = (done: number, total: number): void => reporter.progress('base model on held-out data', done, total)
  const base = await evaluate(runner, batches, { adapted: false, contribution: null, onProgress }, signal)
  if (base !== undefined) training.noteBaseLoss(base.loss)
}

/** At the state that this member has: a host may have to hear of the last contributions first. */
async function takeAdaptedLoss (
  training: Training, runner: StepRunner, joined: JoinedJob, batches: Batches, patience: number, { reporter, signal }: TrainContext
): Promise<number | null> {
  if (batches.count === 0) return null
  const { members, job } = joined
  const onProgress = (done: number, total: number): void => reporter.progress('adapted model on held-out data', done, total)
  const begun = Date.now()
  for (;;) {
    const { contribution } = training
    const expected = job.mode === 'alone' ? contribution?.manifest.id : members.stateId()
    const result = await evaluate(runner, batches, { adapted: true, contribution, onProgress }, signal)
    if (result !== undefined && result.version === expected) return result.loss
    if (Date.now() - begun > patience) throw new ProtocolError('the host does not come to the state that this member has')
    await joined.announce(members.held.map(({ record }) => record))
    await delay(STATE_INTERVAL, undefined, { signal })
  }
}

function reportOf (
  { source: { info }, peer, traffic }: Place, { engine }: TrainContext, { id, job, members }: JoinedJob, { progress }: Training,
  rest: Pick<TrainReport, 'wire' | 'privacy' | 'forgetting' | 'deltaHash' | 'adapter'> & { readonly adapted: number | null }
): TrainReport {
  const { adapted, ...others } = rest
  return {
    job: id,
    name: job.name,
    mode: job.mode,
    model: info.id,
    task: info.task,
    engine,
    peer,
    steps: progress.step,
    losses: progress.losses,
    tokens: progress.tokens,
    tokensPerSecond: speed(progress),
    heldOut: { base: progress.baseLoss, adapted },
    sharedSteps: progress.sharedSteps,
    stale: progress.stale,
    ...traffic.accounts(),
    members: members.held.map(({ peer, round, tokens }) => ({ peer, round, tokens })),
    ...others
  }
}
