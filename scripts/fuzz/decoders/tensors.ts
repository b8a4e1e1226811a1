import { encodeAdapter, decodeAdapter } from '../../../src/gl/adapter-message.js'
import { parameterShapes } from '../../../src/gl/auxiliary.js'
import { hasFactors } from '../../../src/gl/factor-gradients.js'
import { checkBatch } from '../../../src/model/tasks/tasks.js'
import type { NetworkInfo } from '../../../src/model/network.js'
import { layoutOf } from '../../../src/node/trainer/wire-form.js'
import { decodeBatch, encodeBatch } from '../../../src/protocols/step/schema.js'
import { decodeAdaptation, encodeAdaptation, tensorsOf } from '../../../src/tensor/adaptation.js'
import { decodeWeightNorms, encodeWeightNorms } from '../../../src/tensor/weight-norms.js'
import { type AdapterTensors, AUXILIARY_KINDS, type AuxiliaryKind, type AuxiliarySpec, type Batch, type Site, type TensorData, WIRE_FORMS, type WireForm } from '../../../src/types.js'
import { type Decoder, InvalidAcceptedError, type Sample } from '../decoder.js'
import { below, oneOf, randomFloats } from '../random.js'

/** A linear module, one of another place, an embedding and a convolution. */
const SITES: readonly Site[] = [
  { name: 'h.0.c_attn', inFeatures: 3, outFeatures: 5 },
  { name: 'pooler', inFeatures: 4, outFeatures: 2, places: 1 },
  { name: 'wte', inFeatures: 9, outFeatures: 3, embedding: true },
  { name: 'convs.0', inFeatures: 8, outFeatures: 2, convolution: { channels: 2, height: 3, width: 3, kernel: [2, 2], stride: [1, 1], padding: [0, 0] } }
]

const VOCABULARY = 9
const INFO: NetworkInfo = { task: 'CAUSAL_LM', sites: SITES, output: 'lm_head', defaultSites: ['c_attn'], fanInFanOut: true, positions: 16, vocabSize: VOCABULARY, labels: [] }

/** A few rows of a few tokens. */
export function randomBatch (random: () => number): Batch {
  const [rows, length] = [1 + below(3, random), 1 + below(6, random)]
  const tensor = (values: () => number): TensorData => ({ shape: [rows, length], values: Int32Array.from({ length: rows * length }, values) })
  return { rows, tensors: new Map([['input_ids', tensor(() => below(VOCABULARY, random))], ['attention_mask', tensor(() => 1)], ['labels', tensor(() => below(VOCABULARY, random))]]) }
}

export function randomAdapter (spec: AuxiliarySpec, sites: readonly Site[], random: () => number): AdapterTensors {
  return new Map(sites.map(site => [site.name, new Map([...parameterShapes(spec, site)].map(([name, shape]) => [name, randomFloats(shape, random)]))]))
}

export const batch: Decoder = {
  name: 'batch',
  sample: ({ random }) => ({
    form: 'safetensors',
    bytes: encodeBatch(randomBatch(random)),
    decode: bytes => {
      const decoded = decodeBatch(bytes)
      checkTensors('batch', decoded.tensors.values())
      checkBatch(decoded, INFO)
    }
  })
}

/** What a job may have together: of linear modules any kind, of others those two. */
function randomChoice (random: () => number): { readonly sites: readonly Site[], readonly kinds: readonly AuxiliaryKind[] } {
  if (random() < 0.5) return { sites: SITES.slice(0, 2), kinds: AUXILIARY_KINDS }
  return { sites: SITES, kinds: ['low-rank', 'linear'] }
}

export const adapter: Decoder = {
  name: 'adapter',
  sample: ({ random }) => {
    const { sites, kinds } = randomChoice(random)
    const mixture = kinds.map((kind): AuxiliarySpec => ({ kind, rank: 2, alpha: 1 }))
    const spec = oneOf(mixture, random)
    const specs = random() < 0.5 ? [spec] : mixture
    return {
      form: 'safetensors',
      bytes: encodeAdapter(randomAdapter(spec, sites, random)),
      decode: bytes => {
        const tensors = [...decodeAdapter(bytes, specs, sites).adapter.values()].flatMap(own => [...own.values()])
        checkTensors('adapter', tensors)
        if (tensors.some(({ values }) => !values.every(Number.isFinite))) throw new InvalidAcceptedError('an adapter with values that are not finite')
      }
    }
  }
}

/** One decoder for each form of the wire. */
export const adaptations: readonly Decoder[] = WIRE_FORMS.map(wire => ({ name: `adaptation ${wire}`, sample: ({ random }) => adaptationSample(wire, random) }))

function adaptationSample (wire: WireForm, random: () => number): Sample {
  const { sites, kinds } = randomChoice(random)
  const fitting = kinds.map((kind): AuxiliarySpec => ({ kind, rank: 1 + below(3, random), alpha: 1 })).filter(spec => wire !== 'factors' || hasFactors(spec))
  const layout = layoutOf({ wire, auxiliary: oneOf(fitting, random) }, sites, randomBatch(random))
  const shapeOf = (name: string): readonly number[] => layout.shapes.get(name) ?? []
  const data = layout.read(name => randomFloats(shapeOf(name), random), name => {
    const { shape, values } = randomFloats(shapeOf(name), random)
    return { shape, values: Int32Array.from(values, () => below(VOCABULARY, random)) }
  })
  return {
    form: 'safetensors',
    bytes: encodeAdaptation(data, wire),
    decode: bytes => { checkTensors(`adaptation ${wire}`, [...decodeAdaptation(bytes, layout).values()].flatMap(tensorsOf)) }
  }
}

export const weightNorms: Decoder = {
  name: 'weight norms',
  sample: ({ random }) => ({
    form: 'safetensors',
    bytes: encodeWeightNorms(new Map(SITES.map(({ name, outFeatures }) => {
      const { shape, values } = randomFloats([outFeatures], random)
      return [name, { shape, values: values.map(Math.abs) }]
    }))),
    decode: bytes => {
      const norms = [...decodeWeightNorms(bytes, SITES).values()]
      checkTensors('weight norms', norms)
      if (norms.some(({ values }) => !values.every(value => Number.isFinite(value) && value >= 0))) throw new InvalidAcceptedError('norms that are none')
    }
  })
}

/** As many values as the shape says. */
export function checkTensors (what: string, tensors: Iterable<TensorData>): void {
  for (const { shape, values } of tensors) {
    if (shape.reduce((product, size) => product * size, 1) !== values.length) throw new InvalidAcceptedError(`${what}: ${values.length} values in the shape [${shape.join(', ')}]`)
  }
}
