import { join } from 'node:path'
import { expect } from 'chai'
import { loadedAdapter, type LoadOptions, NO_ADAPTER } from '../../src/cli/loaded-adapter.js'
import { openEngine } from '../../src/engine/open-engine.js'
import type { Adapter } from '../../src/gl/peft/adapter.js'
import { BaseModel } from '../../src/model/base-model.js'
import type { AuxiliarySpec, Batch } from '../../src/types.js'
import { rejection } from '../data/folder.js'
import { randomAdapter } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 0.5, ranks: { 'transformer.h.0.attn.c_attn': 3 } }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 2, alpha: 0.5 }
const IA3: AuxiliarySpec = { kind: 'ia3', rank: 1, alpha: 1 }
const DORA: AuxiliarySpec = { kind: 'dora', rank: 2, alpha: 3, shares: { 'transformer.h.0.attn.c_attn': 0.5 } }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 1, alpha: 1 }

describe('an adapter that was loaded', () => {
  let model: BaseModel
  let batch: Batch

  before(async () => {
    model = await BaseModel.load(join(FIXTURES, 'gpt2-odd'), async weights => await openEngine(weights, { device: 'cpu' }, () => {}))
    batch = await readBatch('gpt2-odd')
  })
  after(async () => { await model.dispose() })

  const adapterOf = (spec: AuxiliarySpec, ending: string): Adapter => ({ spec, tensors: randomAdapter(spec, model.info.sites.filter(({ name }) => name.endsWith(ending)), seeded(1)) })

  async function logitsWith (adapters: readonly Adapter[], options?: LoadOptions): Promise<Float32Array> {
    const { changes, beside } = adapters.length === 0 ? NO_ADAPTER : await loadedAdapter(model, adapters, options)
    await model.merge(changes)
    const [{ logits }] = await model.pass([batch], { sites: [], logits: true, ...(beside && { beside: ({ rows }) => beside(rows) }) })
    return logits!.values
  }

  it('does the same merged and beside, of whichever kinds it is', async () => {
    const base = await logitsWith([])
    for (const [specs, endings] of [
      [[LOW_RANK], ['c_attn']], [[LINEAR], ['c_attn']], [[MLP], ['c_attn']], [[LOW_RANK, MLP], ['c_attn', 'c_attn']], [[MLP, LINEAR, MLP], ['c_proj', 'c_attn', 'c_attn']], [[LOW_RANK, LINEAR], ['c_attn', 'c_proj']], [[IA3], ['c_attn']], [[LOW_RANK, DORA, IA3], ['c_attn', 'c_attn', 'c_proj']]
    ] as const) {
      const adapters = specs.map((spec, i) => adapterOf(spec, endings[i]))
      const [merged, beside] = [await logitsWith(adapters), await logitsWith(adapters, { unmerged: true })]
      expect(relativeError(merged, base), specs.map(({ kind }) => kind).join()).to.be.above(1e-3)
      expect(relativeError(beside, merged), specs.map(({ kind }) => kind).join()).to.be.below(1e-5)
    }
    expect(await logitsWith([])).to.deep.equal(base)
  })

  it('is merged where it can be, and runs beside where not, or where that is wanted', async () => {
    const [lowRank, mlp] = [adapterOf(LOW_RANK, 'c_attn'), adapterOf(MLP, 'c_proj')]
    const shapeOf = async (adapters: readonly Adapter[], options?: LoadOptions): Promise<[number, boolean]> => {
      const { changes, beside } = await loadedAdapter(model, adapters, options)
      return [changes.size, beside !== undefined]
    }
    expect(await shapeOf([lowRank])).to.deep.equal([lowRank.tensors.size, false])
    expect(await shapeOf([mlp])).to.deep.equal([0, true])
    expect(await shapeOf([mlp, lowRank])).to.deep.equal([lowRank.tensors.size, true])
    expect(await shapeOf([lowRank, adapterOf(IA3, 'c_attn')]), 'beside one that sees what the module gives by itself').to.deep.equal([0, true])
    expect(await shapeOf([mlp, lowRank], { unmerged: true })).to.deep.equal([0, true])
  })

  it('is refused where it is not one for the model', async () => {
    for (const unmerged of [true, false]) {
      const { spec, tensors } = adapterOf(LOW_RANK, 'c_attn')
      expect(await rejection(loadedAdapter(model, [{ spec: { ...spec, rank: 7 }, tensors }], { unmerged }))).to.have.property('name', 'InvalidAdapterError')
      for (const kind of ['low-rank', 'mlp'] as const) {
        const elsewhere = { spec: { ...MLP, kind }, tensors: new Map([['transformer.h.9.attn.c_attn', [...tensors.values()][0]]]) }
        expect(await rejection(loadedAdapter(model, [elsewhere], { unmerged })), kind).to.have.property('name', 'UnknownSiteError')
      }
    }
  })

  it('is refused where an MLP has another shape than the model gives it', async () => {
    const { spec, tensors } = adapterOf(MLP, 'c_attn')
    const [[site], ...rest] = [...tensors]
    const other = randomAdapter(MLP, [{ name: site, inFeatures: 3, outFeatures: 5 }], seeded(2))
    for (const wrong of [new Map([...other, ...rest]), new Map([[site, new Map([...tensors.get(site)!].slice(1))]])]) {
      expect(await rejection(loadedAdapter(model, [{ spec, tensors: wrong }]))).to.have.property('name', 'InvalidAdapterError')
    }
  })
})
