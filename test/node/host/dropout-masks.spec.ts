import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { seenBy } from '../../../src/auxiliary-spec.js'
import { Auxiliary } from '../../../src/gl/auxiliary.js'
import { inputShape } from '../../../src/places.js'
import { dropoutMasks } from '../../../src/node/host/dropout-masks.js'
import type { LentPart, LentResult } from '../../../src/node/host/lent-model.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import { dropoutKey, dropOut, fillMask } from '../../../src/tensor/dropout.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, Site, SitePair } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { emptyBatch, partOf } from '../../support/batch.js'
import { relativeError } from '../../support/compare.js'
import { FIXTURES, readBatch } from '../../support/fixtures.js'

const SPECS: readonly AuxiliarySpec[] = (['low-rank', 'linear', 'mlp', 'dora'] as const).map(kind => ({ kind, rank: 2, alpha: 3, dropout: 0.4 }))

describe('what a trainer\'s auxiliaries are without in a pass', () => {
  let model: LocalModel
  let sites: Site[]
  let parts: LentPart[]

  before(async () => {
    model = await LocalModel.open(join(FIXTURES, 'gpt2-odd'), {}, () => {})
    sites = model.info.sites.filter(({ name }) => name.endsWith('c_attn') || name.endsWith('mlp.c_proj'))
    const batch = await readBatch('gpt2-odd')
    parts = SPECS.map((spec, k) => partFor(spec, randomAdapter(spec, sites, seeded(k)), { batch: partOf(batch, 1 + k % 2, 6 + k), dropout: { rate: 0.4, key: dropoutKey(5, `trainer ${k}`, 3) } }))
  })

  after(async () => { await model.dispose() })

  function partFor (spec: AuxiliarySpec, adapter: AdapterTensors, rest: Pick<LentPart, 'batch'> & Partial<LentPart>): LentPart {
    return { beside: [{ spec, tensors: adapter }], ...(seenBy(spec.kind) !== undefined && { fitted: { spec, adapter } }), ...rest }
  }

  async function run (some: readonly LentPart[], wanted = sites): Promise<LentResult[]> {
    return await model.pass({ parts: some, sites: wanted.map(({ name }) => name), merged: null })
  }

  /** What a trainer makes of the adaptation data: the gradient of every parameter. */
  function gradientsOf (spec: AuxiliarySpec, adapter: AdapterTensors, { batch, dropout }: LentPart, { data }: LentResult): Map<string, FloatTensor> {
    return new Map(sites.flatMap(site => {
      const { x, gradient, output, norm } = data.get(site.name) as SitePair
      const dropped = dropOut(x, batch.rows, dropout!, site.name)
      const auxiliary = new Auxiliary(spec, site, { tensors: adapter.get(site.name)! })
      const matrix = ({ values, shape }: FloatTensor): tf.Tensor2D => tf.tensor2d(values, shape as [number, number])
      const values = tf.tidy(() => [...auxiliary.gradients(matrix(dropped), matrix(gradient), { ...(output && { output: matrix(output) }), ...(norm && { norm: tf.tensor1d(norm.values) }) })]
        .map(([name, own]) => [`${site.name}.${name}`, { shape: own.shape, values: own.dataSync<'float32'>().slice() }] as const))
      auxiliary.dispose()
      return values
    }))
  }

  for (const [k, spec] of SPECS.entries()) {
    it(`leaves the gradient that of the loss: along it the loss of the same masks rises by its norm, ${spec.kind}`, async () => {
      const { tensors: adapter } = parts[k].beside[0]
      const [at] = await run([parts[k]])
      const gradients = gradientsOf(spec, adapter, parts[k], at)
      const moving = [...gradients].filter(([name]) => spec.kind !== 'dora' || name.endsWith('magnitude_vector')) // of A and B the gradient takes the norm for a constant
      const norm = Math.sqrt(moving.reduce((sum, [, { values }]) => values.reduce((own, value) => own + value ** 2, sum), 0))
      const way = new Map(moving.map(([name, { values }]) => [name, values.map(value => value / norm)]))
      const lossAt = async (step: number): Promise<number> => {
        const moved = new Map([...adapter].map(([site, own]) => [site, new Map([...own].map(([name, { shape, values }]) =>
          [name, { shape, values: values.map((value, i) => value + step * (way.get(`${site}.${name}`)?.[i] ?? 0)) }]))]))
        const [{ loss }] = await run([partFor(spec, moved, { batch: parts[k].batch, dropout: parts[k].dropout! })], [])
        return loss
      }
      const step = 1e-3
      const [near, far] = [await lossAt(step) - await lossAt(-step), await lossAt(2 * step) - await lossAt(-2 * step)]
      expect((8 * near - far) / (12 * step) / norm, 'along the gradient, of its norm').to.be.closeTo(1, 1e-3)
      const { dropout: _, ...without } = parts[k]
      expect(Math.abs((await run([without]))[0].loss - at.loss), 'with all of x it is another').to.be.above(1e-4)
    })
  }

  it('is the trainer\'s own, whoever else is in the pass, and the same in every run', async () => {
    const together = await run(parts)
    expect((await run(parts)).map(({ loss }) => loss)).to.deep.equal(together.map(({ loss }) => loss))
    for (const [k, part] of parts.entries()) {
      const [alone] = await run([part])
      expect(together[k].loss).to.be.closeTo(alone.loss, 1e-5)
      for (const [site, own] of alone.data) {
        const [actual, expected] = [together[k].data.get(site) as SitePair, own as SitePair]
        expect(relativeError(actual.x.values, expected.x.values), site).to.be.below(1e-4)
        expect(relativeError(actual.gradient.values, expected.gradient.values), site).to.be.below(1e-4)
      }
    }
  })

  it('is in what a host makes of x for factors too', async () => {
    const [spec] = SPECS
    const { tensors: adapter } = parts[0].beside[0]
    const [pairs] = await run([parts[0]])
    const expected = gradientsOf(spec, adapter, parts[0], pairs)
    const [{ data }] = await run([{ ...parts[0], wire: 'factors', fitted: { spec, adapter } }])
    for (const { name } of sites) {
      const own = data.get(name)!
      if (!('factors' in own)) throw new Error('no factors came')
      for (const [parameter, { values }] of own.factors) {
        expect(relativeError(values.map(value => value * 1.5), expected.get(`${name}.${parameter}`)!.values), `${name}.${parameter}`).to.be.below(1e-4) // α is 3 / 2
      }
    }
  })

  it('is cut where a pass has some of the rows only, and is 1 where nothing is to be dropped', () => {
    const [site] = sites
    const embedding: Site = { name: 'wte', inFeatures: 7, outFeatures: 3, embedding: true }
    const dropout = { rate: 0.5, key: 'key' }
    const some: LentPart[] = [{ batch: emptyBatch(3, 4), beside: [], dropout }, { batch: emptyBatch(2, 5), beside: [] }]
    const lengths = { input: 6, target: 1 }
    const masks = dropoutMasks(some, { firstRow: 1, rows: 5, lengths }, [site, embedding])
    expect([...masks.keys()]).to.deep.equal([site.name])
    const [places, features] = inputShape(site, 1, lengths)
    const { shape, values } = masks.get(site.name)!
    expect(shape).to.deep.equal([5 * places, features])
    for (let row = 0; row < 5; row++) {
      const expected = new Float32Array(places * features).fill(1)
      if (row < 2) fillMask(expected.subarray(0, 4 * features), dropout, site.name, row + 1)
      expect(values.subarray(row * places * features, (row + 1) * places * features), `row ${row}`).to.deep.equal(expected)
    }
  })
})
