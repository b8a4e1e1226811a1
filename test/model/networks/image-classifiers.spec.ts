import { expect } from 'chai'
import { networkOf } from '../../../src/model/networks/registry.js'
import { selectSites } from '../../../src/model/sites.js'
import type { Site } from '../../../src/types.js'

const IMAGES = { num_channels: 2, image_size: [9, 12], num_labels: 3 }
const LINEAR = { model_type: 'linear-classifier', ...IMAGES }
const MLP = { model_type: 'mlp-classifier', ...IMAGES, hidden_sizes: [7, 5] }
const CNN = { model_type: 'cnn-classifier', ...IMAGES, conv_channels: [4, 6], kernel_size: 5 }

function networkFrom (json: object): ReturnType<typeof networkOf>['network'] {
  return networkOf(json, 'folder/config.json').network
}

function shapesOf ({ sites }: { readonly sites: readonly Site[] }): unknown[] {
  return sites.map(({ name, inFeatures, outFeatures }) => [name, inFeatures, outFeatures])
}

describe('classifiers of images of our own', () => {
  it('have a layer for each step from the values of an image to its classes', () => {
    expect(shapesOf(networkFrom(LINEAR).info)).to.deep.equal([['classifier', 216, 3]])
    expect(shapesOf(networkFrom(MLP).info)).to.deep.equal([['layers.0', 216, 7], ['layers.1', 7, 5], ['classifier', 5, 3]])
    expect(networkFrom(MLP).weights.get('layers.1.bias')).to.deep.equal([5])
  })

  it('have convolutions that keep the size of the image, which is halved after each', () => {
    const { info, weights } = networkFrom(CNN)
    expect(shapesOf(info)).to.deep.equal([['convs.0', 50, 4], ['convs.1', 100, 6], ['classifier', 6, 3]])
    expect(info.sites.map(({ convolution }) => convolution)).to.deep.equal([
      { channels: 2, height: 9, width: 12, kernel: [5, 5], stride: [1, 1], padding: [2, 2] },
      { channels: 4, height: 4, width: 6, kernel: [5, 5], stride: [1, 1], padding: [2, 2] },
      undefined
    ])
    expect(weights.get('convs.1.weight')).to.deep.equal([6, 4, 5, 5])
  })

  it('are adapted everywhere by default, the output too: they are trained from a random start', () => {
    for (const json of [LINEAR, MLP, CNN]) {
      const { info } = networkFrom(json)
      expect(selectSites(info, info.defaultSites)).to.deep.equal(info.sites)
      expect(info.output).to.equal('classifier')
      expect(info).to.include({ task: 'IMAGE_CLS', positions: 0, vocabSize: 0, fanInFanOut: false })
      expect(info.image).to.deep.equal({ channels: 2, height: 9, width: 12 })
      expect(info.labels).to.deep.equal(['LABEL_0', 'LABEL_1', 'LABEL_2'])
    }
  })

  it('take one number for both sides of an image, and numbered names for the number of classes', () => {
    const { info } = networkFrom({ ...LINEAR, image_size: 4, num_labels: undefined, id2label: { 0: 'cat', 1: 'dog' } })
    expect(info.image).to.deep.equal({ channels: 2, height: 4, width: 4 })
    expect(info.labels).to.deep.equal(['cat', 'dog'])
  })

  it('are refused where they are not possible, and told what is wrong', () => {
    for (const [json, said] of [
      [{ ...CNN, conv_channels: [4, 4, 4, 4] }, '4 blocks halve 9 by 12 pixels to nothing; at most 3 are possible'],
      [{ ...CNN, image_size: [1, 12] }, 'larger images are needed'],
      [{ ...CNN, kernel_size: 4 }, 'an odd number of pixels'],
      [{ ...CNN, conv_channels: [] }, 'conv_channels'],
      [{ ...CNN, image_size: undefined }, 'image_size'],
      [{ ...MLP, hidden_sizes: [] }, 'hidden_sizes'],
      [{ ...MLP, hidden_sizes: [0] }, 'hidden_sizes'],
      [{ ...MLP, hidden_act: 'mish' }, 'hidden_act'],
      [{ ...LINEAR, num_channels: 0 }, 'num_channels'],
      [{ ...LINEAR, num_labels: 1 }, 'a number is not supported'],
      [{ ...LINEAR, id2label: { 0: 'a', 1: 'b' } }, 'num_labels is 3, id2label has 2'],
      [{ ...LINEAR, architectures: ['MlpClassifier'] }, 'LinearClassifier'],
      [{ model_type: 'cnn-classifier' }, 'num_channels']
    ] as ReadonlyArray<readonly [object, string]>) {
      expect(() => networkFrom(json), said).to.throw(said).with.property('name', 'InvalidModelError')
    }
  })
})
