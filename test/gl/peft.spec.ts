import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Adapter, AdapterBase } from '../../src/gl/peft/adapter.js'
import { readAdapter, readAdapters } from '../../src/gl/peft/read-adapter.js'
import { writeAdapter, writeAdapters } from '../../src/gl/peft/write-adapter.js'
import { meanOfProducts } from '../../src/merge/mean-of-products.js'
import { selectSites } from '../../src/model/sites.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../../src/tensor/safetensors.js'
import type { AuxiliarySpec, NamedTensors, Site } from '../../src/types.js'
import { rejection, withFolder } from '../data/folder.js'
import { seeded } from '../merge/random.js'
import { shapeAt } from '../merge/reference.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch, readJson, readTensors } from '../support/fixtures.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const CONFIG = 'adapter_config.json'
const TENSORS = 'adapter_model.safetensors'
/** Under which a spec is that PEFT's format does not tell. */
const MARK = 'colanet.spec'

/** The longest path that the system takes, in bytes. */
const LONGEST_PATH = process.platform === 'darwin' ? 1023 : 4095

/** Of the sites in every test, those that have another rank or alpha. */
const BY_SITE = { ranks: { 'h.0.tall': 5, 'convs.1': 4, 'transformer.wte': 1 }, alphas: { 'h.0.wide': 0.7, 'h.0.tall': 3, 'convs.0': 9, 'transformer.wte': 6 } }
const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 4 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 3, alpha: 0.9 }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 3, alpha: 0.9 }
const SPECS: readonly AuxiliarySpec[] = [
  LOW_RANK,
  { kind: 'low-rank', rank: 3, alpha: 0.9 }, // 0.9 / 3 · 3 is not 0.9 in floating point
  { ...LOW_RANK, rankStabilised: true },
  { ...LOW_RANK, ...BY_SITE },
  { kind: 'low-rank', rank: 3, alpha: 0.9, ...BY_SITE, rankStabilised: true },
  { kind: 'linear', rank: 1, alpha: 1 },
  LINEAR,
  { ...LINEAR, alphas: BY_SITE.alphas, rankStabilised: true }
]

/** What is said of the sites that an adapter has, and of no others. */
function specOf (spec: AuxiliarySpec, sites: readonly Site[]): AuxiliarySpec {
  const own = (values: Readonly<Record<string, number>>): Record<string, number> => Object.fromEntries(Object.entries(values).filter(([name]) => sites.some(site => site.name === name)))
  return { ...spec, ...(spec.ranks && { ranks: own(spec.ranks) }), ...(spec.alphas && { alphas: own(spec.alphas) }) }
}

const BASE: AdapterBase = { name: 'models/base', task: 'CAUSAL_LM', sites: SITES, fanInFanOut: true }

/** Patches that overlap, and pixels by themselves that become fewer. */
const CONVOLUTIONS: readonly Site[] = [
  { name: 'convs.0', inFeatures: 18, outFeatures: 5, convolution: { channels: 3, height: 6, width: 7, kernel: [2, 3], stride: [1, 1], padding: [0, 1] } },
  { name: 'convs.1', inFeatures: 5, outFeatures: 9, convolution: { channels: 5, height: 3, width: 3, kernel: [1, 1], stride: [2, 2], padding: [0, 0] } }
]
const IMAGE_BASE: AdapterBase = { name: 'models/cnn', task: 'IMAGE_CLS', sites: CONVOLUTIONS, fanInFanOut: false }

const adapterOf = (spec: AuxiliarySpec, sites = SITES): Adapter => ({ spec: specOf(spec, sites), tensors: randomAdapter(spec, sites, seeded(1)) })

/** What PEFT computes from the files of a folder: α/r·B·A of each module, or α/√r·B·A, with the rank and alpha that its patterns give it. */
async function deltasOf (folder: string): Promise<Map<string, number[]>> {
  const config = JSON.parse(await readFile(join(folder, CONFIG), 'utf8')) as
    { r: number, lora_alpha: number, use_rslora: boolean, rank_pattern: Record<string, number>, alpha_pattern: Record<string, number>, target_modules: string[] }
  const { tensors } = decodeSafetensors(await readFile(join(folder, TENSORS)))
  expect([...tensors.keys()]).to.have.members(config.target_modules.flatMap(site => ['A', 'B'].map(factor => `base_model.model.${site}.lora_${factor}.weight`)))
  return new Map(config.target_modules.map(site => {
    const [a, b] = ['A', 'B'].map(factor => floatTensor(tensors, `base_model.model.${site}.lora_${factor}.weight`))
    const rank = config.rank_pattern[site] ?? config.r
    expect([a.shape[0], b.shape[1]], site).to.deep.equal([rank, rank])
    return [site, product(b.values, a.values, rank, (config.alpha_pattern[site] ?? config.lora_alpha) / (config.use_rslora ? Math.sqrt(rank) : rank))]
  }))
}

/** scale·B·A, B `[out, r]`, A `[r, in]`. */
function product (b: Float32Array, a: Float32Array, rank: number, scale: number): number[] {
  const [outFeatures, inFeatures] = [b.length / rank, a.length / rank]
  return Array.from({ length: outFeatures * inFeatures }, (_, at) => {
    const [o, i] = [Math.floor(at / inFeatures), at % inFeatures]
    let sum = 0
    for (let r = 0; r < rank; r++) sum += b[o * rank + r] * a[r * inFeatures + i]
    return scale * sum
  })
}

const RIGHT_CONFIG = { peft_type: 'LORA', r: 2, lora_alpha: 4, bias: 'none', use_dora: false, use_rslora: false }
const RIGHT_TENSORS: NamedTensors = new Map([
  ['base_model.model.h.0.lora_A.weight', uniform([2, 3], seeded(1))],
  ['base_model.model.h.0.lora_B.weight', uniform([5, 2], seeded(2))]
])

/** A folder as PEFT would write it, with something changed. */
async function withAdapter (
  change: { readonly config?: object, readonly tensors?: NamedTensors, readonly metadata?: Record<string, string> }, test: (folder: string) => Promise<void>
): Promise<void> {
  await withFolder({
    [CONFIG]: JSON.stringify({ ...RIGHT_CONFIG, ...change.config }),
    [TENSORS]: encodeSafetensors(change.tensors ?? RIGHT_TENSORS, { metadata: { format: 'pt', ...change.metadata } })
  }, test)
}

async function expectRefused (folder: string, what: string): Promise<void> {
  expect(await rejection(readAdapter(folder)), what).to.have.property('name', 'InvalidAdapterError')
}

describe('gl: PEFT adapters', () => {
  for (const spec of SPECS) {
    const what = JSON.stringify(spec)

    it(`are read as they were written, ${what}`, async () => {
      await withFolder({}, async folder => {
        const adapter = adapterOf(spec)
        await writeAdapter(join(folder, 'a'), adapter, BASE)
        expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
      })
    })

    it(`are for PEFT the same ΔW, ${what}`, async () => {
      await withFolder({}, async folder => {
        const { tensors } = adapterOf(spec)
        await writeAdapter(join(folder, 'a'), { spec, tensors }, BASE)
        const deltas = await deltasOf(join(folder, 'a'))
        expect([...deltas.keys()]).to.deep.equal(SITES.map(({ name }) => name))
        for (const [site, own] of tensors) {
          const { rank, scale } = shapeAt(spec, site)
          const expected = spec.kind === 'linear'
            ? [...own.get('weight')!.values].map(value => scale * value)
            : product(own.get('lora_B.weight')!.values, own.get('lora_A.weight')!.values, rank, scale)
          expect(relativeError(deltas.get(site)!, expected), site).to.be.below(1e-12)
        }
      })
    })
  }

  for (const spec of SPECS) {
    it(`have the names that PEFT has for embeddings, ${JSON.stringify(spec)}`, async () => {
      await withFolder({}, async folder => {
        const sites: readonly Site[] = [{ name: 'transformer.wte', inFeatures: 13, outFeatures: 4, embedding: true }, SITES[0]]
        const adapter = adapterOf(spec, sites)
        await writeAdapter(join(folder, 'a'), adapter, { ...BASE, sites })
        expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
        const { tensors } = decodeSafetensors(await readFile(join(folder, 'a', TENSORS)))
        const rank = spec.kind === 'linear' ? 4 : shapeAt(spec, 'transformer.wte').rank
        expect(tensors.get('base_model.model.transformer.wte.lora_embedding_A')!.shape).to.deep.equal([rank, 13])
        expect(tensors.get('base_model.model.transformer.wte.lora_embedding_B')!.shape).to.deep.equal([4, rank])
        expect(tensors.size).to.equal(4)
      })
    })
  }

  it('are read without the weights of the base model that PEFT leaves beside those of embeddings', async () => {
    const embedding: NamedTensors = new Map([
      ['base_model.model.model.embed_tokens.base_layer.weight', uniform([7, 5], seeded(1))],
      ['base_model.model.model.embed_tokens.lora_embedding_A', uniform([2, 7], seeded(2))],
      ['base_model.model.model.embed_tokens.lora_embedding_B', uniform([5, 2], seeded(3))]
    ])
    await withAdapter({ tensors: embedding }, async folder => {
      const { tensors } = await readAdapter(folder)
      expect(tensors).to.deep.equal(new Map([['model.embed_tokens', new Map([
        ['lora_A.weight', uniform([2, 7], seeded(2))], ['lora_B.weight', uniform([5, 2], seeded(3))]
      ])]]))
    })
  })

  it('are written with all that PEFT asks for', async () => {
    await withFolder({}, async folder => {
      for (const fanInFanOut of [true, false]) {
        await writeAdapter(join(folder, 'a'), adapterOf(SPECS[0]), { ...BASE, fanInFanOut })
        expect(JSON.parse(await readFile(join(folder, 'a', CONFIG), 'utf8'))).to.deep.equal({
          peft_type: 'LORA',
          task_type: 'CAUSAL_LM',
          base_model_name_or_path: 'models/base',
          inference_mode: true,
          r: 2,
          lora_alpha: 4,
          rank_pattern: {},
          alpha_pattern: {},
          use_rslora: false,
          lora_dropout: 0,
          bias: 'none',
          fan_in_fan_out: fanInFanOut,
          target_modules: SITES.map(({ name }) => name)
        })
        expect((await readdir(join(folder, 'a'))).sort()).to.deep.equal([CONFIG, TENSORS])
        expect(decodeSafetensors(await readFile(join(folder, 'a', TENSORS))).metadata.format).to.equal('pt')
      }
    })
  })

  for (const spec of SPECS) {
    it(`have convolutions where the base model has them, ${JSON.stringify(spec)}`, async () => {
      await withFolder({}, async folder => {
        const adapter = adapterOf(spec, CONVOLUTIONS)
        await writeAdapter(join(folder, 'a'), adapter, IMAGE_BASE)
        expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
        const { tensors } = decodeSafetensors(await readFile(join(folder, 'a', TENSORS)))
        for (const { name, inFeatures, outFeatures, convolution } of CONVOLUTIONS) {
          const rank = spec.kind === 'linear' ? Math.min(inFeatures, outFeatures) : shapeAt(spec, name).rank
          const [a, b] = ['A', 'B'].map(factor => tensors.get(`base_model.model.${name}.lora_${factor}.weight`)!.shape)
          expect(a).to.deep.equal([rank, convolution!.channels, ...convolution!.kernel])
          expect(b).to.deep.equal([outFeatures, rank, 1, 1])
        }
      })
    })
  }

  it('name the class of PEFT that loads them, and none for classifiers, of which PEFT expects a head as well', async () => {
    await withFolder({}, async folder => {
      for (const [task, type] of [['CAUSAL_LM', 'CAUSAL_LM'], ['SEQ_2_SEQ_LM', 'SEQ_2_SEQ_LM'], ['SEQ_CLS', null], ['IMAGE_CLS', null]] as const) {
        await writeAdapter(join(folder, 'a'), adapterOf(SPECS[0]), { ...BASE, task })
        expect(JSON.parse(await readFile(join(folder, 'a', CONFIG), 'utf8'))).to.have.property('task_type', type)
      }
    })
  })

  for (const [name, spec, sites] of [
    ['adamw', { kind: 'low-rank', rank: 4, alpha: 8 }, 2],
    ['adamw-both', { kind: 'low-rank', rank: 3, alpha: 3 }, 6],
    ['sgd', { kind: 'low-rank', rank: 4, alpha: 4 }, 2]
  ] as const) {
    it(`are read as PEFT wrote them, ${name}`, async () => {
      const adapter = await readAdapter(join(FIXTURES, 'peft', name, 'start'))
      const expected = await readTensors('peft', name, 'start', TENSORS)
      expect(adapter.spec).to.deep.equal(spec)
      expect(adapter.tensors.size).to.equal(sites)
      expect(expected.size).to.equal(2 * sites)
      for (const [site, own] of adapter.tensors) {
        expect([...own.keys()]).to.have.members(['lora_A.weight', 'lora_B.weight'])
        for (const [parameter, tensor] of own) expect(tensor).to.deep.equal(expected.get(`base_model.model.${site}.${parameter}`))
      }
    })
  }

  it('have the ranks and alphas that PEFT\'s patterns give them, and are for us PEFT\'s ΔW', async () => {
    const folder = join(FIXTURES, 'peft', 'patterns')
    const { base, loss } = await readJson('peft', 'patterns', 'loss.json') as { base: string, loss: number }
    const deltas = await readTensors('peft', 'patterns', 'deltas.safetensors')
    const adapter = await readAdapter(folder)
    const model = await LocalModel.open(join(FIXTURES, base), {}, () => {})
    const sites = selectSites(model.info, [...adapter.tensors.keys()])
    expect([...deltas.keys()]).to.have.members(sites.map(({ name }) => name))
    for (const [site, { shape, values }] of meanOfProducts([{ tokens: 1, spec: adapter.spec, adapter: adapter.tensors }], sites)) {
      expect(shape).to.deep.equal(deltas.get(site)!.shape)
      expect(relativeError(values, deltas.get(site)!.values), site).to.be.below(1e-6)
    }
    const batch = await readBatch(base)
    for (const pass of [{ parts: [{ batch, beside: [adapter] }], merged: null }, { parts: [{ batch, beside: [] }], merged: { state: 'a', members: [{ tokens: 1, spec: adapter.spec, adapter: adapter.tensors }] } }]) {
      const [own] = await model.pass({ ...pass, sites: [] })
      expect(relativeError([own.loss], [loss])).to.be.below(1e-5)
    }
    await model.dispose()
  })

  it('are as PEFT wrote them when they are written and read again', async () => {
    const adapter = await readAdapter(join(FIXTURES, 'peft', 'patterns'))
    await withFolder({}, async folder => {
      await writeAdapter(join(folder, 'a'), adapter, { ...BASE, sites: [{ name: 'transformer.wte', inFeatures: 61, outFeatures: 36, embedding: true }] })
      expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
      const [ours, theirs] = await Promise.all([join(folder, 'a'), join(FIXTURES, 'peft', 'patterns')].map(async path => decodeSafetensors(await readFile(join(path, TENSORS))).tensors))
      expect(ours).to.deep.equal(theirs)
    })
  })

  it('have at each site the rank of its factors, and the alpha of the first pattern that its name ends with', async () => {
    const tensors: NamedTensors = new Map(['h.0.attn', 'h.1.attn', 'h.10.attn', 'h.0.fc'].flatMap((site, i) => [
      [`base_model.model.${site}.lora_A.weight`, uniform([i + 1, 3], seeded(i))] as const, [`base_model.model.${site}.lora_B.weight`, uniform([5, i + 1], seeded(i))] as const
    ]))
    const config = { r: 2, lora_alpha: 4, use_rslora: true, rank_pattern: { 'h.0.attn': 1, 'h.10.attn': 3, fc: 4 }, alpha_pattern: { '1.attn': 7, 'h.0.attn': 5, attn: 6, 'h\\.0\\..*': 9 } }
    await withAdapter({ tensors, config }, async folder => {
      expect((await readAdapter(folder)).spec).to.deep.equal({
        kind: 'low-rank', rank: 2, alpha: 4, ranks: { 'h.0.attn': 1, 'h.10.attn': 3, 'h.0.fc': 4 }, alphas: { 'h.0.attn': 5, 'h.1.attn': 7, 'h.10.attn': 6, 'h.0.fc': 9 }, rankStabilised: true
      })
    })
  })

  it('are read whichever prefix their keys have, and with the options left out that older versions do not write', async () => {
    const bare = new Map([...RIGHT_TENSORS].map(([key, tensor]) => [key.replace('base_model.model.', ''), tensor]))
    const older = { use_rslora: undefined, use_dora: undefined, bias: undefined, rank_pattern: null }
    await withAdapter({}, async folder => {
      const expected = await readAdapter(folder)
      expect([...expected.tensors.keys()]).to.deep.equal(['h.0'])
      await withAdapter({ tensors: bare, config: older }, async folder => {
        expect(await readAdapter(folder)).to.deep.equal(expected)
      })
    })
  })

  it('are refused where their configuration is one that we cannot go on from exactly', async () => {
    const wrong = [
      { peft_type: 'IA3' }, { peft_type: undefined }, { peft_type: 'lora' },
      { r: 0 }, { r: -1 }, { r: 1.5 }, { r: '2' }, { r: undefined },
      { lora_alpha: 0 }, { lora_alpha: -4 }, { lora_alpha: '4' }, { lora_alpha: undefined },
      { use_dora: true }, { init_lora_weights: 'pissa_niter_4' }, { init_lora_weights: 'olora' }, { init_lora_weights: 1 }, { bias: 'all' }, { bias: 'lora_only' }, { use_rslora: 'yes' },
      { rank_pattern: { 'h.0': 0 } }, { rank_pattern: { 'h.0': 1.5 } }, { alpha_pattern: { 'h.0': 0 } }, { alpha_pattern: { 'h.0': '4' } }, { rank_pattern: [] }, { alpha_pattern: { '(': 4 } },
      { peft_type: 'COLANET' }
    ]
    for (const config of wrong) await withAdapter({ config }, async folder => await expectRefused(folder, JSON.stringify(config)))
  })

  it('are refused where there is none, or no JSON', async () => {
    await withFolder({ 'file.txt': 'x' }, async folder => {
      for (const path of [folder, join(folder, 'none'), join(folder, 'file.txt')]) await expectRefused(path, path)
    })
    await withAdapter({}, async folder => {
      for (const text of ['', '{', 'null', '[]', '"LORA"']) {
        await writeFile(join(folder, CONFIG), text)
        await expectRefused(folder, text)
      }
    })
  })

  it('are refused where the tensors are missing, cut or none of LoRA\'s', async () => {
    await withFolder({ [CONFIG]: JSON.stringify(RIGHT_CONFIG) }, async folder => {
      await expectRefused(folder, 'no tensors')
      const bytes = encodeSafetensors(RIGHT_TENSORS)
      for (const length of [0, 7, 40, bytes.byteLength - 1]) {
        await writeFile(join(folder, TENSORS), bytes.subarray(0, length))
        await expectRefused(folder, `${length} bytes`)
      }
    })
    const tensor = uniform([2, 2], seeded(1))
    const wrong = ['base_model.model.lm_head.weight', 'base_model.model.h.0.lora_B.bias', 'base_model.model.h.0.lora_magnitude_vector', 'lora_A.weight', 'h.0.lora_C.weight', 'h.0.lora_A.weight2']
    for (const key of wrong) {
      await withAdapter({ tensors: new Map([...RIGHT_TENSORS, [key, tensor]]) }, async folder => await expectRefused(folder, key))
    }
    const integers = { shape: [2, 2], values: new Int32Array(4) }
    await withAdapter({ tensors: new Map([...RIGHT_TENSORS, ['h.1.lora_A.weight', integers]]) }, async folder => await expectRefused(folder, 'integers'))
  })

  it('are refused where the mark of a linear auxiliary is damaged, or a factor is missing', async () => {
    const markOf = (spec: object): Record<string, string> => ({ [MARK]: JSON.stringify(spec) })
    const right: AuxiliarySpec = { kind: 'linear', rank: 2, alpha: 4 }
    await withAdapter({ metadata: markOf(right) }, async folder => {
      expect((await readAdapter(folder)).spec).to.deep.equal(right)
    })
    const wrong = [{ rank: '2' }, { rank: 0 }, { rank: 1.5 }, { rank: undefined }, { alpha: 0 }, { alpha: -1 }, { alpha: null }, { kind: 'cubic' }, { ranks: { a: 0 } }, { alphas: { a: 'b' } }, { rankStabilised: 1 }]
    for (const change of wrong) await withAdapter({ metadata: markOf({ ...right, ...change }) }, async folder => await expectRefused(folder, JSON.stringify(change)))
    for (const text of ['', '{', 'null', '[]', '"linear"']) await withAdapter({ metadata: { [MARK]: text } }, async folder => await expectRefused(folder, text))
    for (const key of RIGHT_TENSORS.keys()) {
      const tensors = new Map([...RIGHT_TENSORS].filter(([other]) => other !== key))
      await withAdapter({ metadata: markOf(right), tensors }, async folder => await expectRefused(folder, `without ${key}`))
    }
  })

  for (const [what, sites, base] of [
    ['linear modules', SITES, BASE],
    ['convolutions', CONVOLUTIONS, IMAGE_BASE],
    ['embeddings', [{ name: 'transformer.wte', inFeatures: 13, outFeatures: 4, embedding: true }], BASE],
    ['modules called layers', [{ name: 'model.layers.0.mlp.layers.1', inFeatures: 3, outFeatures: 2 }], BASE]
  ] as ReadonlyArray<readonly [string, readonly Site[], AdapterBase]>) {
    it(`that PEFT has not are read as they were written, MLPs of ${what}`, async () => {
      await withFolder({}, async folder => {
        for (const spec of [MLP, { ...MLP, ...BY_SITE, rankStabilised: true }]) {
          const adapter = adapterOf(spec, sites)
          await writeAdapter(join(folder, 'a'), adapter, { ...base, sites })
          expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
          expect(await readAdapters(join(folder, 'a'))).to.deep.equal([adapter])
          expect(JSON.parse(await readFile(join(folder, 'a', CONFIG), 'utf8'))).to.deep.include({ peft_type: 'COLANET', kind: 'mlp', target_modules: sites.map(({ name }) => name) })
        }
      })
    })
  }

  it('that PEFT has not are refused where their mark is damaged or missing, or a key is none of a parameter', async () => {
    await withFolder({}, async folder => {
      await writeAdapter(join(folder, 'a'), adapterOf(MLP), BASE)
      const { tensors, metadata } = decodeSafetensors(await readFile(join(folder, 'a', TENSORS)))
      const write = async (change: NamedTensors, mark: Readonly<Record<string, string>>): Promise<void> => await writeFile(join(folder, 'a', TENSORS), encodeSafetensors(change, { metadata: mark }))
      await write(tensors, metadata)
      expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapterOf(MLP))
      for (const mark of [{}, { [MARK]: '{}' }, { [MARK]: JSON.stringify({ ...MLP, kind: 'cubic' }) }]) {
        await write(tensors, mark)
        await expectRefused(join(folder, 'a'), JSON.stringify(mark))
      }
      for (const key of ['base_model.model.h.0.lora_A.weight', 'h.0.layers.0.weight', 'base_model.model.h.0.layers.0.scale', 'base_model.model.layers.0.weight']) {
        await write(new Map([...tensors, [key, uniform([2, 2], seeded(1))]]), metadata)
        await expectRefused(join(folder, 'a'), key)
      }
    })
  })

  describe('that are one together', () => {
    const PARTS: readonly Adapter[] = [adapterOf(SPECS[3]), adapterOf(MLP), adapterOf({ ...MLP, alphas: BY_SITE.alphas }, SITES.slice(1))]

    it('lie each in a folder of its own, as it would by itself', async () => {
      await withFolder({}, async folder => {
        await writeAdapters(join(folder, 'a'), PARTS, BASE)
        expect((await readdir(join(folder, 'a'))).sort()).to.deep.equal(['part-1', 'part-2', 'part-3'])
        expect(await readAdapters(join(folder, 'a'))).to.deep.equal(PARTS)
        for (const [i, part] of PARTS.entries()) {
          expect(await readAdapter(join(folder, 'a', `part-${i + 1}`))).to.deep.equal(part)
          await writeAdapter(join(folder, 'b'), part, BASE)
          for (const file of [CONFIG, TENSORS]) expect(await readFile(join(folder, 'a', `part-${i + 1}`, file))).to.deep.equal(await readFile(join(folder, 'b', file)))
        }
        await expectRefused(join(folder, 'a'), 'as if it were one')
      })
    })

    it('are read in their order, however many', async () => {
      await withFolder({}, async folder => {
        const parts = Array.from({ length: 12 }, (_, i) => adapterOf({ ...LOW_RANK, alpha: i + 1 }))
        await writeAdapters(join(folder, 'a'), parts, BASE)
        expect(await readAdapters(join(folder, 'a'))).to.deep.equal(parts)
      })
    })

    it('replace one, and one replaces them', async () => {
      await withFolder({}, async folder => {
        for (const adapters of [PARTS, PARTS.slice(0, 1), PARTS.slice(1), PARTS.slice(2)]) {
          await writeAdapters(join(folder, 'a'), adapters, BASE)
          expect(await readAdapters(join(folder, 'a'))).to.deep.equal(adapters)
        }
      })
    })

    it('are refused where one of them is none, and where there are none', async () => {
      await withFolder({}, async folder => {
        await writeAdapters(join(folder, 'a'), PARTS, BASE)
        await writeFile(join(folder, 'a', 'part-2', CONFIG), '{}')
        for (const path of [join(folder, 'a'), folder, join(folder, 'none')]) expect(await rejection(readAdapters(path)), path).to.have.property('name', 'InvalidAdapterError')
      })
    })
  })

  it('replace what lay in their folder, whole', async () => {
    await withFolder({ 'a/README.md': 'of another', [`a/${CONFIG}`]: '{}' }, async folder => {
      await writeAdapter(join(folder, 'a'), adapterOf(SPECS[0]), BASE)
      expect((await readdir(join(folder, 'a'))).sort()).to.deep.equal([CONFIG, TENSORS])
      expect(await readdir(folder)).to.deep.equal(['a'])
    })
  })

  it('leave nothing behind when they cannot be written', async () => {
    await withFolder({ file: 'x' }, async folder => {
      expect(await rejection(writeAdapter(join(folder, 'file', 'a'), adapterOf(SPECS[0]), BASE))).to.be.an('error')
      expect(await readdir(folder)).to.deep.equal(['file'])
      expect(await readFile(join(folder, 'file'), 'utf8')).to.equal('x')
    })
  })

  it('leave what was there, and nothing half-written, when only one of their files can be written', async () => {
    await withFolder({}, async folder => {
      const place = await placeForOneFile(folder)
      const parent = join(place, '..')
      await mkdir(place)
      await writeFile(join(place, 'old'), 'x')
      const error = await rejection(writeAdapter(place, adapterOf(SPECS[0]), BASE)) as NodeJS.ErrnoException
      expect(error.code).to.equal('ENAMETOOLONG')
      expect(error.path).to.include(TENSORS)
      expect(await readdir(parent)).to.deep.equal(['a'])
      expect(await readdir(place)).to.deep.equal(['old'])
    })
  })
})

/** A path so long that beside it, the configuration has a name that the system takes, and the tensors one that it does not. */
async function placeForOneFile (folder: string): Promise<string> {
  const beside = '.01234567.partial'
  const [least, most] = [CONFIG, TENSORS].map(file => `/a${beside}/${file}${beside}`.length)
  const end = LONGEST_PATH - (least + most) / 2
  let path = folder
  while (path.length < end - 1) {
    path = join(path, 'd'.repeat(Math.min(200, end - path.length - 1)))
    await mkdir(path)
  }
  return join(path, 'a')
}
