import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Adapter, AdapterBase } from '../../../src/gl/peft/adapter.js'
import { readAdapter } from '../../../src/gl/peft/read-adapter.js'
import { writeAdapter } from '../../../src/gl/peft/write-adapter.js'
import { decodeSafetensors, encodeSafetensors } from '../../../src/tensor/safetensors.js'
import type { AuxiliarySpec, Site } from '../../../src/types.js'
import { rejection, withFolder } from '../../data/folder.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'
import { FIXTURES, readTensors } from '../../support/fixtures.js'
import { randomAdapter, SITES } from '../adaptation.js'

const CONFIG = 'adapter_config.json'
const TENSORS = 'adapter_model.safetensors'
const CONVOLUTION: Site = { name: 'convs.0', inFeatures: 18, outFeatures: 5, convolution: { channels: 3, height: 6, width: 7, kernel: [2, 3], stride: [1, 1], padding: [0, 1] } }
const BASE: AdapterBase = { name: 'models/base', task: 'CAUSAL_LM', sites: [...SITES, CONVOLUTION], fanInFanOut: true }
const IA3: AuxiliarySpec = { kind: 'ia3', rank: 1, alpha: 1 }
const DORA: AuxiliarySpec = { kind: 'dora', rank: 2, alpha: 4, ranks: { [SITES[1].name]: 3 }, alphas: { [SITES[2].name]: 0.5 } }

const adapterOf = (spec: AuxiliarySpec, sites: readonly Site[] = SITES): Adapter => ({ spec, tensors: randomAdapter(spec, sites, seeded(1)) })

async function configIn (folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, CONFIG), 'utf8')) as Record<string, unknown>
}

describe('gl: PEFT adapters of other kinds', () => {
  for (const [what, adapter] of Object.entries({ ia3: adapterOf(IA3), 'ia3 of a convolution': adapterOf(IA3, [CONVOLUTION]), dora: adapterOf(DORA), 'rank-stabilised dora': adapterOf({ ...DORA, rankStabilised: true }), 'dora with dropout': adapterOf({ ...DORA, dropout: 0.25 }) })) {
    it(`are read as they were written, ${what}`, async () => {
      await withFolder({}, async folder => {
        await writeAdapter(join(folder, 'a'), adapter, BASE)
        expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
      })
    })
  }

  for (const name of ['ia3', 'ia3-bert', 'dora', 'dora-bert', 'dora-llama']) {
    it(`are read as PEFT wrote them, and written as it would, ${name}`, async () => {
      const adapter = await readAdapter(join(FIXTURES, 'peft', name, 'start'))
      expect(adapter.spec.kind).to.equal(name.split('-')[0])
      await withFolder({}, async folder => {
        await writeAdapter(join(folder, 'a'), adapter, { ...BASE, sites: [] })
        const [own, theirs] = [decodeSafetensors(await readFile(join(folder, 'a', TENSORS))).tensors, await readTensors('peft', name, 'start', TENSORS)]
        expect(own).to.deep.equal(theirs)
        const config = await configIn(join(folder, 'a'))
        const expected = await configIn(join(FIXTURES, 'peft', name, 'start'))
        for (const key of ['peft_type', 'use_dora', 'feedforward_modules', 'r', 'lora_alpha']) expect(config[key], key).to.deep.equal(expected[key])
      })
    })
  }

  it('tell the dropout with which they were trained', async () => {
    await withFolder({}, async folder => {
      for (const kind of ['low-rank', 'linear', 'mlp', 'dora'] as const) {
        for (const dropout of [undefined, 0.25]) {
          const adapter = adapterOf({ kind, rank: 2, alpha: 4, ...(dropout !== undefined && { dropout }) })
          await writeAdapter(join(folder, 'a'), adapter, BASE)
          expect(await readAdapter(join(folder, 'a')), kind).to.deep.equal(adapter)
          if (kind !== 'mlp') expect((await configIn(join(folder, 'a'))).lora_dropout, kind).to.equal(dropout ?? 0)
        }
      }
    })
  })

  it('have their α in l, which PEFT has none beside', async () => {
    await withFolder({}, async folder => {
      const { spec, tensors } = adapterOf({ kind: 'ia3', rank: 2, alpha: 3, alphas: { [SITES[1].name]: 1 } })
      await writeAdapter(join(folder, 'a'), { spec, tensors }, BASE)
      const read = await readAdapter(join(folder, 'a'))
      expect(read.spec).to.deep.equal(IA3)
      for (const [site, own] of tensors) {
        const scale = site === SITES[1].name ? 0.5 : 1.5
        const expected = own.get('ia3_l')!.values.map(value => 1 + scale * (value - 1))
        expect(relativeError(read.tensors.get(site)!.get('ia3_l')!.values, expected), site).to.be.below(1e-6)
      }
    })
  })

  it('that are a share of DoRA are nothing that PEFT has, and are read as they were written', async () => {
    await withFolder({}, async folder => {
      const adapter = adapterOf({ ...DORA, shares: { [SITES[0].name]: 0.25 } })
      await writeAdapter(join(folder, 'a'), adapter, BASE)
      expect((await configIn(join(folder, 'a'))).peft_type).to.equal('COLANET')
      expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
    })
  })

  it('whose vectors scale inputs are refused', async () => {
    const tensors = new Map([['base_model.model.h.0.down.ia3_l', { shape: [1, 4], values: new Float32Array(4).fill(1) }]])
    for (const feedforward of [['down'], ['h.0.down'], '.*\\.down']) {
      const config = JSON.stringify({ peft_type: 'IA3', target_modules: ['down'], feedforward_modules: feedforward })
      await withFolder({ [CONFIG]: config, [TENSORS]: encodeSafetensors(tensors) }, async folder => {
        expect(await rejection(readAdapter(folder))).to.have.property('name', 'InvalidAdapterError')
      })
    }
  })
})
