import { InvalidOptionError } from '../../errors.js'
import { isSummed } from '../../tensor/adaptation.js'
import type { WireOption } from './wire-form.js'

/** Of the options of a trainer, those that privacy has to do with. */
interface PrivacyOptions {
  readonly dpClip?: number | undefined
  readonly dpNoise?: number | undefined
  readonly dpEpsilon?: number | undefined
  readonly dpDelta?: number | undefined
  readonly batch?: string | undefined
  readonly tasks?: object | undefined
  readonly groupByLength: boolean
  readonly fitThreads: number
  readonly wire: WireOption
}

/** @throws {InvalidOptionError} if options of privacy are not what goes together, or do not go with others */
export function checkPrivacy ({ dpClip, dpNoise, dpEpsilon, dpDelta, batch, tasks, groupByLength, fitThreads, wire }: PrivacyOptions): void {
  if (dpClip === undefined) {
    if ((dpNoise ?? dpEpsilon ?? dpDelta) !== undefined) throw new InvalidOptionError('--dp-noise, --dp-epsilon and --dp-delta need --dp-clip, the most that one row counts for')
    return
  }
  if ((dpNoise === undefined) === (dpEpsilon === undefined)) {
    throw new InvalidOptionError(dpNoise === undefined
      ? '--dp-clip needs noise; give --dp-noise, or the --dp-epsilon that it shall be enough for'
      : '--dp-noise and --dp-epsilon exclude each other; use one of them')
  }
  if (batch !== undefined) throw new InvalidOptionError('--dp-clip draws rows, and --batch is always the same; use --data')
  if (tasks !== undefined) throw new InvalidOptionError('--dp-clip draws rows for one task, and the steps of --tasks go together; train each task by itself with --data')
  if (groupByLength) throw new InvalidOptionError('--dp-clip draws each row by itself; leave --group-by-length out')
  if (fitThreads > 1) throw new InvalidOptionError(`--dp-clip takes the norm of a row's gradients at all modules before any of it is used, and --fit-threads ${fitThreads} divides these; leave --fit-threads out`)
  if (wire !== 'auto' && wire !== 'f32') {
    throw new InvalidOptionError(`--dp-clip needs x and ∇ĥ of each row as they are, and with --wire ${wire} they are ${isSummed(wire) ? 'summed over rows' : 'rounded after all rows were divided by their number'}; use --wire f32`)
  }
}
