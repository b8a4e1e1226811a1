import { join } from 'node:path'
import { expect } from 'chai'
import { scaleAt } from '../../../src/auxiliary-spec.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import type { LentPart } from '../../../src/node/host/lent-model.js'
import type { AuxiliarySpec, FloatTensor, Site, SitePair } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { partOf } from '../../support/batch.js'
import { relativeError } from '../../support/compare.js'
import { FIXTURES, readBatch, readTensors } from '../../support/fixtures.js'

const SPECS: readonly AuxiliarySpec[] = [
  { kind: 'dora', rank: 2, alpha: 3 }, { kind: 'ia3', rank: 1, alpha: 1 }, { kind: 'low-rank', rank: 3, alpha: 3 }, { kind: 'dora', rank: 5, alpha: 2, rankStabilised: true }
]

/** Norms of the rows of W + αBA, in float64. */
function normsOf (weight: FloatTensor, transposed: boolean, { inFeatures, outFeatures, name }: Site, spec?: AuxiliarySpec, own?: ReadonlyMap<string, FloatTensor>): number[] {
  return Array.from({ length: outFeatures }, (_, o) => Math.sqrt(Array.from({ length: inFeatures }, (_, i) => {
    const [a, b] = [own?.get('lora_A.weight'), own?.get('lora_B.weight')]
    const rank = a?.shape[0] ?? 0
    const added = Array.from({ length: rank }, (_, r) => b!.values[o * rank + r] * a!.values[r * inFeatures + i]).reduce((sum, value) => sum + value, 0)
    return weight.values[transposed ? i * outFeatures + o : o * inFeatures + i] + (spec === undefined ? 0 : scaleAt(spec, name) * added)
  }).reduce((sum, value) => sum + value ** 2, 0)))
}

for (const [name, endings, transposed] of [['gpt2-odd', ['c_attn', 'c_fc'], true], ['bert-odd', ['query', 'dense'], false]] as const) {
  describe(`a model that is lent to auxiliaries of every kind, ${name}`, () => {
    let model: LocalModel
    let sites: Site[]
    let parts: LentPart[]

    before(async () => {
      model = await LocalModel.open(join(FIXTURES, name), {}, () => {})
      sites = model.info.sites.filter(site => endings.some(ending => site.name.endsWith(ending)))
      const batch = await readBatch(name)
      parts = SPECS.map((spec, k) => {
        const adapter = randomAdapter(spec, sites, seeded(k))
        return { batch: name === 'gpt2-odd' ? partOf(batch, 1 + k % 2, 5 + k) : batch, beside: [{ spec, tensors: adapter }], fitted: { spec, adapter }, ...(spec.kind === 'low-rank' && { wire: 'factors' as const }) }
      })
    })

    after(async () => { await model.dispose() })

    it('gives each trainer of one pass what it would get alone', async () => {
      const names = sites.map(site => site.name)
      const together = await model.pass({ parts, sites: names, merged: null })
      for (const [k, part] of parts.entries()) {
        const [alone] = await model.pass({ parts: [part], sites: names, merged: null })
        expect(together[k].loss).to.be.closeTo(alone.loss, 1e-5)
        for (const [site, own] of alone.data) {
          const other = together[k].data.get(site)!
          expect(Object.keys(other).sort(), site).to.deep.equal(Object.keys(own).sort())
          for (const [what, tensor] of Object.entries(own) as Array<[keyof SitePair, FloatTensor]>) {
            if (tensor instanceof Map) continue
            const received = (other as SitePair)[what]!
            expect(received.shape, `${site} ${what}`).to.deep.equal(tensor.shape)
            expect(relativeError(received.values, tensor.values), `${k} ${site} ${what}`).to.be.below(1e-4)
          }
        }
      }
    })

    it('gives with the pair what the kind is a function of: f(x) or Wx, and the norms of W + αBA', async () => {
      const weights = await readTensors(name, 'model.safetensors')
      const results = await model.pass({ parts, sites: sites.map(site => site.name), merged: null })
      for (const [k, { fitted }] of parts.entries()) {
        const { spec, adapter } = fitted!
        if (spec.kind === 'low-rank') continue
        for (const site of sites) {
          const stored = (what: string): FloatTensor => (weights.get(`${site.name}.${what}`) ?? weights.get(`bert.${site.name}.${what}`)) as FloatTensor
          const { x, output, norm } = results[k].data.get(site.name) as SitePair
          const [weight, bias] = [stored('weight'), stored('bias')]
          const { inFeatures, outFeatures } = site
          const expected = Float32Array.from({ length: outFeatures * x.shape[0] }, (_, at) => {
            const [place, o] = [Math.floor(at / outFeatures), at % outFeatures]
            let sum = spec.kind === 'ia3' ? bias.values[o] : 0
            for (let i = 0; i < inFeatures; i++) sum += x.values[place * inFeatures + i] * weight.values[transposed ? i * outFeatures + o : o * inFeatures + i]
            return sum
          })
          expect(relativeError(output!.values, expected), site.name).to.be.below(1e-5)
          if (spec.kind === 'ia3') expect(norm).to.equal(undefined)
          else expect(relativeError(norm!.values, normsOf(weight, transposed, site, spec, adapter.get(site.name))), site.name).to.be.below(1e-5)
        }
      }
    })

    it('tells the norms of its own weights, whatever is merged into them', async () => {
      const names = sites.map(site => site.name)
      const weights = await readTensors(name, 'model.safetensors')
      const spec: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 2 }
      const before = await model.startNorms(names)
      await model.pass({ parts: [{ ...parts[0], beside: [] }], sites: [], merged: { state: 'some', members: [{ tokens: 1, spec, adapter: randomAdapter(spec, sites, seeded(9)) }] } })
      expect(await model.startNorms(names)).to.deep.equal(before)
      expect([...before.keys()]).to.have.members(names)
      for (const site of sites) {
        const weight = (weights.get(`${site.name}.weight`) ?? weights.get(`bert.${site.name}.weight`)) as FloatTensor
        expect(relativeError(before.get(site.name)!.values, normsOf(weight, transposed, site)), site.name).to.be.below(1e-6)
      }
    })
  })
}
