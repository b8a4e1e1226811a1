import { expect } from 'chai'
import { type ModelImage, parseImageProcessor } from '../../../src/data/images/image-processor.js'

const PATH = 'model/preprocessor_config.json'
const RGB: ModelImage = { channels: 3, height: 224, width: 224 }

function parse (json: unknown, takes = RGB): ReturnType<typeof parseImageProcessor> {
  return parseImageProcessor(json, PATH, takes)
}

/** transformers' classes, by what their files need not say. */
const CLASSES = [
  { type: 'ViTImageProcessor', resize: { to: { height: 224, width: 224 }, resampling: 'bilinear' }, crop: undefined, mean: 0.5 },
  { type: 'DeiTImageProcessor', resize: { to: { height: 256, width: 256 }, resampling: 'bicubic' }, crop: { height: 224, width: 224 }, mean: 0.5 },
  { type: 'SiglipImageProcessor', resize: { to: { height: 224, width: 224 }, resampling: 'bicubic' }, crop: undefined, mean: 0.5 },
  { type: 'CLIPImageProcessor', resize: { to: { shortestEdge: 224 }, resampling: 'bicubic' }, crop: { height: 224, width: 224 }, mean: 0.48145466 },
  { type: 'BitImageProcessor', resize: { to: { shortestEdge: 224 }, resampling: 'bicubic' }, crop: { height: 224, width: 224 }, mean: 0.48145466 }
]

describe('data: image processors', () => {
  for (const { type, resize, crop, mean } of CLASSES) {
    it(`${type} has transformers' defaults, under all of its names, and where null is said`, () => {
      for (const json of [
        { image_processor_type: type },
        { image_processor_type: `${type}Fast` },
        { feature_extractor_type: type.replace('ImageProcessor', 'FeatureExtractor') },
        { image_processor_type: type, do_resize: null, size: null, resample: null, do_center_crop: null, crop_size: null, image_mean: null, do_rescale: null, rescale_factor: null }
      ]) {
        const processor = parse(json)
        expect(processor.resize).to.deep.equal(resize)
        expect(processor.crop).to.deep.equal(crop)
        expect(processor.mean[0]).to.equal(mean)
        expect(processor.factor).to.equal(1 / 255)
      }
    })
  }

  it('takes what names no class for a ViT\'s, as older files do', () => {
    expect(parse({ size: 224, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] })).to.deep.equal(parse({ image_processor_type: 'ViTImageProcessor' }))
  })

  it('takes a size that is one number as the class does', () => {
    expect(parse({ size: 224 }).resize!.to).to.deep.equal({ height: 224, width: 224 })
    expect(parse({ image_processor_type: 'CLIPImageProcessor', size: 300 }).resize!.to).to.deep.equal({ shortestEdge: 300 })
    expect(parse({ image_processor_type: 'CLIPImageProcessor', crop_size: 224 }).crop).to.deep.equal({ height: 224, width: 224 })
    expect(parse({ size: [224, 224] }).resize!.to).to.deep.equal({ height: 224, width: 224 })
  })

  it('of ConvNext resizes more than it keeps, or warps from 384 pixels on', () => {
    const type = { image_processor_type: 'ConvNextImageProcessor' }
    const small = parse({ ...type, size: { shortest_edge: 224 }, crop_pct: 0.875 })
    expect([small.resize!.to, small.crop]).to.deep.equal([{ shortestEdge: 256 }, { height: 224, width: 224 }])
    const large = parse(type, { channels: 3, height: 384, width: 384 })
    expect([large.resize!.to, large.crop]).to.deep.equal([{ height: 384, width: 384 }, undefined])
  })

  it('has one mean for all channels where one is said, or all are the same', () => {
    const grey = { channels: 1, height: 224, width: 224 }
    expect(parse({ image_mean: 0.3, image_std: 0.2 })).to.deep.include({ mean: [0.3, 0.3, 0.3], std: [0.2, 0.2, 0.2] })
    expect(parse({ image_mean: [0.4, 0.4, 0.4], image_std: [0.2] }, grey)).to.deep.include({ mean: [0.4], std: [0.2] })
    expect(parse({}, grey)).to.deep.include({ channels: 1, mean: [0.5], std: [0.5] })
  })

  it('passes over what changes nothing here', () => {
    expect(parse({ do_convert_rgb: true, image_processor_type: 'ViTImageProcessor', return_tensors: 'pt', do_pad: false, processor_class: 'x' })).to.deep.equal(parse({}))
  })

  describe('are refused, naming the file,', () => {
    const refused: Array<[what: string, json: unknown, parts: string[], takes?: ModelImage]> = [
      ['a class that is not known', { image_processor_type: 'LevitImageProcessor' }, ['"LevitImageProcessor"', 'ViTImageProcessor', 'CLIPImageProcessor']],
      ['a class that is no image processor', { feature_extractor_type: 'Wav2Vec2FeatureExtractor' }, ['Wav2Vec2FeatureExtractor']],
      ['a class that an object has from the start', { image_processor_type: 'constructorImageProcessor' }, ['constructorImageProcessor']],
      ['another resampling', { resample: 1 }, ['resample', '2 (bilinear)']],
      ['a size of the longest edge', { size: { longest_edge: 224 } }, ['size', '{"shortest_edge"}']],
      ['a shortest edge with a limit', { size: { shortest_edge: 224, longest_edge: 500 } }, ['size']],
      ['a size of nothing', { size: 0 }, ['size', '>0']],
      ['a size that takes all memory', { size: { shortest_edge: 1e9 } }, ['size', '10000']],
      ['a size that is no whole number', { size: { height: 22.5, width: 224 } }, ['size']],
      ['another size than the model takes', { size: 256 }, ['256 by 256', '224 by 224']],
      ['another crop than the model takes', { image_processor_type: 'CLIPImageProcessor', crop_size: 200 }, ['200 by 200', '224 by 224']],
      ['a crop without a size', { do_center_crop: true }, ['crop_size']],
      ['padding', { do_pad: true }, ['padding']],
      ['means of other channels', { image_mean: [0.1, 0.2] }, ['image_mean', '2 numbers', '3 channels']],
      ['means of colours where the model takes grey', { image_mean: [0.1, 0.2, 0.3] }, ['image_mean', '1 channels'], { channels: 1, height: 224, width: 224 }],
      ['a deviation of 0', { image_std: [0.5, 0, 0.5] }, ['image_std', '0.5, 0, 0.5']],
      ['no means', { image_mean: [] }, ['image_mean', '0 numbers']],
      ['a factor of 0', { rescale_factor: 0 }, ['rescale_factor']],
      ['a ConvNext of two sides', { image_processor_type: 'ConvNextImageProcessor', size: { height: 224, width: 224 } }, ['ConvNextImageProcessor', 'shortest_edge']],
      ['words', { do_resize: 'yes' }, ['do_resize']],
      ['what is no object', [], ['object']],
      ['null', null, ['object']],
      ['a model of other channels', {}, ['4 channels', '3 for RGB'], { channels: 4, height: 224, width: 224 }],
      ['a model of other channels without a file', undefined, ['2 channels'], { channels: 2, height: 224, width: 224 }]
    ]
    for (const [what, json, parts, takes] of refused) {
      it(what, () => {
        expect(() => parse(json, takes)).to.throw().with.property('name', 'InvalidModelError')
        for (const part of [PATH, ...parts]) expect(() => parse(json, takes)).to.throw(part)
      })
    }
  })
})
