import { expect } from 'chai'
import type { RowSet } from '../../../src/data/row-set.js'
import { tokenRows } from '../../../src/data/token-rows.js'
import { InvalidBatchError, NoHostError } from '../../../src/errors.js'
import { epsilonOf } from '../../../src/gl/privacy/accountant.js'
import type { ModelInfo } from '../../../src/model/base-model.js'
import { countedByRow, countedIn } from '../../../src/model/tasks/tasks.js'
import { parseTrainOptions } from '../../../src/node/trainer/options.js'
import { explained, type Privacy, privacyOf } from '../../../src/node/trainer/privacy.js'
import { tokenBatch } from '../../support/batch.js'

const GIVEN = { model: 'models/tiny', data: ['texts'], dpClip: 2, dpNoise: 1.5, batchSize: 4, steps: 10, length: 16 }
const INFO = { task: 'CAUSAL_LM', positions: 64, name: 'small', labels: [] } as unknown as ModelInfo

const rowsOf = (count: number): RowSet => tokenRows(Array.from({ length: count }, () => ({ ids: Int32Array.of(1, 2), spans: [{ begin: 0, end: 2 }] })), 0)

function privacy (given: object = {}, rows: number | null = 50, info = INFO): Privacy | undefined {
  return privacyOf(parseTrainOptions({ ...GIVEN, ...given }), rows === null ? undefined : rowsOf(rows), info, undefined)
}

function expectRefused (given: object, message: string): void {
  expect(() => parseTrainOptions({ ...GIVEN, ...given }), message).to.throw(message).with.property('name', 'InvalidOptionError')
}

describe('the privacy of a trainer', () => {
  it('is none unless it is asked for', () => {
    expect(privacy({ dpClip: undefined, dpNoise: undefined })).to.equal(undefined)
  })

  it('is told as the accountant has it, for the fits that there were', () => {
    const report = privacy()!.report(10)
    const steps = { noiseMultiplier: 1.5, sampleRate: 4 / 50, steps: 10 }
    const delta = 50 ** -1.1
    expect(report).to.deep.equal({ ...steps, clip: 2, delta, epsilon: epsilonOf(steps, delta) })
    expect(privacy()!.report(3).steps).to.equal(3)
    expect(privacy()!.report(0).epsilon).to.equal(0)
  })

  it('counts an interval as one drawing of all of its batches, also the last that is not full', () => {
    const report = privacy({ interval: 4, dpDelta: 1e-5 })!.report(10)
    expect([report.steps, report.sampleRate, report.delta]).to.deep.equal([3, 16 / 50, 1e-5])
  })

  it('has the noise that is enough for a wanted ε', () => {
    const report = privacy({ dpNoise: undefined, dpEpsilon: 1.2, interval: 2 })!.report(10)
    expect(report.epsilon).to.be.within(1.19, 1.2)
    expect(report.steps).to.equal(5)
  })

  it('has a secret of its own each time, and that of its beginning when it goes on', () => {
    const first = privacy()!
    expect(privacy()!.fits.secret).to.not.deep.equal(first.fits.secret)
    const saved = new Map([['private.secret', { shape: [32], values: Int32Array.from(first.fits.secret) }]])
    expect(privacyOf(parseTrainOptions(GIVEN), rowsOf(50), INFO, saved)!.fits.secret).to.deep.equal(Uint8Array.from(first.fits.secret))
  })

  it('tells of predictions what does not depend on what was drawn', () => {
    expect(privacy()!.tokensOf(3)).to.equal(3 * 4 * 16)
    expect(privacy({ length: undefined })!.tokensOf(1)).to.equal(4 * 64)
    expect(privacy({}, 50, { ...INFO, task: 'SEQ_CLS' })!.tokensOf(3)).to.equal(3 * 4)
  })

  it('needs enough rows', () => {
    expect(() => privacy({}, 3)).to.throw('from 3 rows').with.property('name', 'InvalidOptionError')
  })

  it('refuses options that do not go together', () => {
    expectRefused({ dpClip: undefined }, '--dp-clip')
    expectRefused({ dpClip: undefined, dpNoise: undefined, dpDelta: 1e-5 }, '--dp-clip')
    expectRefused({ dpNoise: undefined }, '--dp-noise')
    expectRefused({ dpEpsilon: 3 }, '--dp-epsilon')
    expectRefused({ data: undefined, batch: 'one.safetensors' }, '--data')
    expectRefused({ data: undefined, tasks: { one: ['texts'] } }, '--tasks')
    expectRefused({ groupByLength: true }, '--group-by-length')
    expectRefused({ fitThreads: 2 }, '--fit-threads')
    for (const wire of ['factors', 'bf16', 'f16']) expectRefused({ wire }, '--wire f32')
    for (const wire of ['auto', 'f32'] as const) expect(() => parseTrainOptions({ ...GIVEN, wire })).to.not.throw()
  })

  it('says what to do where a batch is too large for a host, and leaves other errors as they are', () => {
    const error = explained(new InvalidBatchError('70 rows')) as Error
    expect([error.name, error.message]).to.satisfy(([name, message]: string[]) => name === 'InvalidBatchError' && /^70 rows.*--batch-size.*--max-rows/.test(message))
    const other = new NoHostError('none')
    expect(explained(other)).to.equal(other)
  })
})

describe('predictions of each row that count', () => {
  it('are together those of the batch', () => {
    const batch = tokenBatch(3, 4, {
      inputIds: new Int32Array(12),
      attentionMask: new Int32Array(12).fill(1),
      labels: Int32Array.of(5, 5, -100, 5, 5, -100, -100, -100, 1, 2, 3, 4) // the first of each row is predicted by nobody
    })
    expect([...countedByRow(batch, INFO)]).to.deep.equal([2, 0, 3])
    expect(countedIn(batch, INFO)).to.equal(5)
  })

  it('are one where a row has a class, and none where that is ignored', () => {
    const batch = { rows: 3, tensors: new Map([['labels', { shape: [3], values: Int32Array.of(1, -100, 0) }]]) }
    expect([...countedByRow(batch, { task: 'IMAGE_CLS', labels: ['a', 'b'] })]).to.deep.equal([1, 0, 1])
  })
})
