import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { describeModel } from '../../../src/model/base-model.js'
import { networkOf } from '../../../src/model/networks/registry.js'
import { placesOf } from '../../../src/places.js'
import { encodeSafetensors } from '../../../src/tensor/safetensors.js'
import { FIXTURES, readTensors } from '../../support/fixtures.js'
import { temporaryFolder } from '../../support/temporary-folder.js'

const VIT = { model_type: 'vit', hidden_size: 12, num_hidden_layers: 2, num_attention_heads: 3, intermediate_size: 10, image_size: [9, 13], patch_size: 4, num_labels: 5 }

function networkFrom (change: object): ReturnType<typeof networkOf>['network'] {
  return networkOf({ ...VIT, ...change }, 'folder/config.json').network
}

describe('a ViT', () => {
  const folder = temporaryFolder()

  it('has the modules of transformers, once for each patch and once for the whole image', () => {
    const { info } = networkFrom({})
    const [projection, ...others] = info.sites
    expect(projection).to.deep.include({ name: 'vit.embeddings.patch_embeddings.projection', inFeatures: 48, outFeatures: 12 })
    expect(placesOf(projection, { input: 1, target: 1 })).to.equal(6) // 2 by 3
    expect(others.slice(0, 6).map(({ name, inFeatures, outFeatures, places }) => [name, inFeatures, outFeatures, places])).to.deep.equal([
      ['vit.layers.0.attention.q_proj', 12, 12, 7], ['vit.layers.0.attention.k_proj', 12, 12, 7], ['vit.layers.0.attention.v_proj', 12, 12, 7], ['vit.layers.0.attention.o_proj', 12, 12, 7],
      ['vit.layers.0.mlp.fc1', 12, 10, 7], ['vit.layers.0.mlp.fc2', 10, 12, 7]
    ])
    expect(info.sites.at(-1)).to.deep.equal({ name: info.output, inFeatures: 12, outFeatures: 5, places: 1 })
    expect(info.image).to.deep.equal({ channels: 3, height: 9, width: 13 })
    expect(info).to.include({ task: 'IMAGE_CLS', positions: 0, vocabSize: 0, fanInFanOut: false })
  })

  it('has the names of its classes in their order', () => {
    expect(networkFrom({ num_labels: undefined, id2label: { 2: 'c', 0: 'a', 1: 'b' } }).info.labels).to.deep.equal(['a', 'b', 'c'])
    expect(networkFrom({ num_labels: 3 }).info.labels).to.deep.equal(['LABEL_0', 'LABEL_1', 'LABEL_2'])
  })

  it('has no biases of queries, keys and values where it says so', () => {
    const names = [...networkFrom({ qkv_bias: false }).weights.keys()].filter(name => /layers\.1\.attention\..*bias/.test(name))
    expect(names).to.deep.equal(['vit.layers.1.attention.o_proj.bias'])
  })

  it('is the same model whether its file has the names of transformers before version 5 or those since, with the head\'s prefix or without', async () => {
    const stored = await readTensors('vit', 'model.safetensors')
    const former = [...stored.keys()].filter(name => name.includes('.encoder.layer.'))
    expect(former).to.have.lengthOf(32)
    const network = networkFrom({})
    const since = new Map([...network.weights.keys()].map(name => [[name, ...network.aliases?.(name) ?? []].find(own => stored.has(own))!, name]))
    const { id } = await describeModel(join(FIXTURES, 'vit'))
    for (const rename of [(name: string) => since.get(name) ?? name, (name: string) => name.replace(/^vit\./, '')]) {
      const path = join(folder(), 'model')
      await cp(join(FIXTURES, 'vit'), path, { recursive: true })
      await writeFile(join(path, 'model.safetensors'), encodeSafetensors(new Map([...stored].map(([name, tensor]) => [rename(name), tensor]))))
      expect((await describeModel(path)).id).to.equal(id)
    }
  })

  it('is refused where it is not possible, and told what is wrong', () => {
    for (const [change, said] of [
      [{ hidden_size: 13 }, 'hidden_size must be a multiple of num_attention_heads'],
      [{ patch_size: [4, 14] }, '9 by 13 pixels has no patch of 4 by 14'],
      [{ image_size: [9, 13, 3] }, 'a number, or [height, width]'],
      [{ hidden_act: 'mish' }, 'hidden_act'],
      [{ num_labels: 1 }, 'a number is not supported where a row is an image'],
      [{ problem_type: 'multi_label_classification' }, 'problem_type'],
      [{ id2label: { 0: 'a', 2: 'c' }, num_labels: undefined }, 'counted from 0'],
      [{ architectures: ['ViTModel'] }, 'AutoModelForImageClassification.from_pretrained(folder).save_pretrained(another)'],
      [{ architectures: ['ViTForMaskedImageModeling'] }, 'ViTForImageClassification']
    ] as ReadonlyArray<readonly [object, string]>) {
      expect(() => networkFrom(change), said).to.throw(said).with.property('name', 'InvalidModelError')
    }
  })
})
