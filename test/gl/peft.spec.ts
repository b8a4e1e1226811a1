import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Adapter, type AdapterBase, readAdapter, writeAdapter } from '../../src/gl/peft.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../../src/tensor/safetensors.js'
import type { AuxiliarySpec, NamedTensors, Site } from '../../src/types.js'
import { rejection, withFolder } from '../data/folder.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readTensors } from '../support/fixtures.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const CONFIG = 'adapter_config.json'
const TENSORS = 'adapter_model.safetensors'

/** The longest path that the system takes, in bytes. */
const LONGEST_PATH = process.platform === 'darwin' ? 1023 : 4095

const SPECS: readonly AuxiliarySpec[] = [
  { kind: 'low-rank', rank: 2, alpha: 4 },
  { kind: 'low-rank', rank: 3, alpha: 0.9 }, // 0.9 / 3 · 3 is not 0.9 in floating point
  { kind: 'linear', rank: 1, alpha: 1 },
  { kind: 'linear', rank: 3, alpha: 0.9 }
]

const BASE: AdapterBase = { name: 'models/base', task: 'CAUSAL_LM', sites: SITES, fanInFanOut: true }

/** Patches that overlap, and pixels by themselves that become fewer. */
const CONVOLUTIONS: readonly Site[] = [
  { name: 'convs.0', inFeatures: 18, outFeatures: 5, convolution: { channels: 3, height: 6, width: 7, kernel: [2, 3], stride: [1, 1], padding: [0, 1] } },
  { name: 'convs.1', inFeatures: 5, outFeatures: 9, convolution: { channels: 5, height: 3, width: 3, kernel: [1, 1], stride: [2, 2], padding: [0, 0] } }
]
const IMAGE_BASE: AdapterBase = { name: 'models/cnn', task: 'IMAGE_CLS', sites: CONVOLUTIONS, fanInFanOut: false }

const adapterOf = (spec: AuxiliarySpec, sites = SITES): Adapter => ({ spec, tensors: randomAdapter(spec, sites, seeded(1)) })

/** What PEFT computes from the files of a folder: α/r·B·A of each module, with the rank and alpha that its patterns give it. */
async function deltasOf (folder: string): Promise<Map<string, number[]>> {
  const config = JSON.parse(await readFile(join(folder, CONFIG), 'utf8')) as
    { r: number, lora_alpha: number, rank_pattern: Record<string, number>, alpha_pattern: Record<string, number>, target_modules: string[] }
  const { tensors } = decodeSafetensors(await readFile(join(folder, TENSORS)))
  expect([...tensors.keys()]).to.have.members(config.target_modules.flatMap(site => ['A', 'B'].map(factor => `base_model.model.${site}.lora_${factor}.weight`)))
  return new Map(config.target_modules.map(site => {
    const [a, b] = ['A', 'B'].map(factor => floatTensor(tensors, `base_model.model.${site}.lora_${factor}.weight`))
    const rank = config.rank_pattern[site] ?? config.r
    expect([a.shape[0], b.shape[1]], site).to.deep.equal([rank, rank])
    return [site, product(b.values, a.values, rank, (config.alpha_pattern[site] ?? config.lora_alpha) / rank)]
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
    const what = `${spec.kind}, rank ${spec.rank}, alpha ${spec.alpha}`

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
          const scale = spec.alpha / spec.rank
          const expected = spec.kind === 'linear'
            ? [...own.get('weight')!.values].map(value => scale * value)
            : product(own.get('lora_B.weight')!.values, own.get('lora_A.weight')!.values, spec.rank, scale)
          expect(relativeError(deltas.get(site)!, expected), site).to.be.below(1e-12)
        }
      })
    })
  }

  for (const spec of SPECS) {
    it(`have the names that PEFT has for embeddings, ${spec.kind}, rank ${spec.rank}, alpha ${spec.alpha}`, async () => {
      await withFolder({}, async folder => {
        const sites: readonly Site[] = [{ name: 'transformer.wte', inFeatures: 13, outFeatures: 4, embedding: true }, SITES[0]]
        const adapter = adapterOf(spec, sites)
        await writeAdapter(join(folder, 'a'), adapter, { ...BASE, sites })
        expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
        const { tensors } = decodeSafetensors(await readFile(join(folder, 'a', TENSORS)))
        const rank = spec.kind === 'linear' ? 4 : spec.rank
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
    it(`have convolutions where the base model has them, ${spec.kind}, rank ${spec.rank}, alpha ${spec.alpha}`, async () => {
      await withFolder({}, async folder => {
        const adapter = adapterOf(spec, CONVOLUTIONS)
        await writeAdapter(join(folder, 'a'), adapter, IMAGE_BASE)
        expect(await readAdapter(join(folder, 'a'))).to.deep.equal(adapter)
        const { tensors } = decodeSafetensors(await readFile(join(folder, 'a', TENSORS)))
        for (const { name, inFeatures, outFeatures, convolution } of CONVOLUTIONS) {
          const rank = spec.kind === 'linear' ? Math.min(inFeatures, outFeatures) : spec.rank
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

  it('have α = alpha / √r where they are rank-stabilised', async () => {
    await withAdapter({ config: { r: 16, lora_alpha: 6, use_rslora: true } }, async folder => {
      const { spec } = await readAdapter(folder)
      expect(spec.alpha / spec.rank).to.be.closeTo(6 / Math.sqrt(16), 1e-15)
      expect(spec.rank).to.equal(16)
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
      { rank_pattern: { 'h.0': 4 } }, { alpha_pattern: { 'h.0': 4 } }, { rank_pattern: [] }
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
    const mark = { 'colanet.kind': 'linear', 'colanet.rank': '2', 'colanet.alpha': '4' }
    await withAdapter({ metadata: mark }, async folder => {
      expect((await readAdapter(folder)).spec).to.deep.equal({ kind: 'linear', rank: 2, alpha: 4 })
    })
    for (const [key, values] of [['colanet.rank', ['', '0', '1.5', 'x']], ['colanet.alpha', ['', '0', '-1', 'NaN']]] as const) {
      for (const value of values) await withAdapter({ metadata: { ...mark, [key]: value } }, async folder => await expectRefused(folder, `${key} ${value}`))
    }
    await withAdapter({ metadata: { 'colanet.kind': 'linear' } }, async folder => await expectRefused(folder, 'no rank'))
    for (const key of RIGHT_TENSORS.keys()) {
      const tensors = new Map([...RIGHT_TENSORS].filter(([other]) => other !== key))
      await withAdapter({ metadata: mark, tensors }, async folder => await expectRefused(folder, `without ${key}`))
    }
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
