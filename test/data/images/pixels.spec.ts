import { expect } from 'chai'
import { join } from 'node:path'
import { type ImageProcessor, parseImageProcessor } from '../../../src/data/images/image-processor.js'
import type { PixelImage } from '../../../src/data/images/pixel-image.js'
import { processImage, readPixels } from '../../../src/data/images/pixels.js'
import { floatTensor } from '../../../src/tensor/safetensors.js'
import type { FloatTensor } from '../../../src/types.js'
import { rejection, withFolder } from '../folder.js'
import { imagePath, readCases, readExpected } from './cases.js'

/** Of large images every 32nd row and column is expected. */
const STEP = 32

function thinned ({ shape: [channels, height, width], values }: FloatTensor): FloatTensor {
  const [rows, columns] = [Math.ceil(height / STEP), Math.ceil(width / STEP)]
  const thin = Float32Array.from({ length: channels * rows * columns }, (_, i) => {
    const [channel, row, column] = [Math.floor(i / rows / columns), Math.floor(i / columns) % rows, i % columns]
    return values[(channel * height + row * STEP) * width + column * STEP]
  })
  return { shape: [channels, rows, columns], values: thin }
}

function largestDifference (a: FloatTensor, b: FloatTensor): number {
  return a.values.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b.values[i])), 0)
}

function image (height: number, width: number, channels: 1 | 3 = 1, value = (i: number) => i + 1): PixelImage {
  return { height, width, channels, values: Uint8Array.from({ length: height * width * channels }, (_, i) => value(i)) }
}

/** Values as they are, cropped. */
function cropping (height: number, width: number): ImageProcessor {
  const size = { height, width }
  return { channels: 1, output: size, crop: size, factor: 1, mean: [0], std: [1] }
}

describe('data: pixels', () => {
  it('are what transformers makes of every kind of file and with every processor', async () => {
    const tensors = await readExpected()
    for (const { name, file, takes, config } of await readCases()) {
      const made = await readPixels(imagePath(file), parseImageProcessor(config, 'preprocessor_config.json', takes))
      const found = takes.height > 100 ? thinned(made) : made
      const expected = floatTensor(tensors, name) // [channels, height, width]
      expect(found.shape, name).to.deep.equal(expected.shape)
      expect(largestDifference(found, expected), name).to.be.below(1e-6 * Math.max(...expected.values.map(Math.abs)))
    }
  })

  it('are from −1 to 1 in the size that the model takes where its folder says nothing', () => {
    for (const channels of [1, 3] as const) {
      const processor = parseImageProcessor(undefined, 'preprocessor_config.json', { channels, height: 2, width: 3 })
      const { shape, values } = processImage(image(2, 3, channels, i => i % 2 * 255), processor, 'x.png') // [channels, 2, 3]
      expect(shape).to.deep.equal([channels, 2, 3])
      expect(Math.min(...values)).to.equal(-1)
      expect(Math.max(...values)).to.equal(1)
    }
  })

  it('of a grey image are the same in all channels where the model takes colours', () => {
    const processor = parseImageProcessor(undefined, 'preprocessor_config.json', { channels: 3, height: 2, width: 2 })
    const { values } = processImage(image(2, 2), processor, 'x.png') // [3, 2, 2]
    expect(values.slice(4, 8)).to.deep.equal(values.slice(0, 4))
    expect(values.slice(8)).to.deep.equal(values.slice(0, 4))
  })

  it('of one colour stay of one colour whatever the size', () => {
    for (const resampling of ['nearest', 'bilinear', 'bicubic'] as const) {
      for (const [height, width] of [[1, 1], [5, 40], [40, 5], [17, 19]]) {
        const processor: ImageProcessor = { channels: 1, output: { height, width }, resize: { to: { height, width }, resampling }, factor: 1, mean: [0], std: [1] }
        for (const value of [0, 200, 255]) {
          expect(new Set(processImage(image(13, 11, 1, () => value), processor, 'x.png').values), `${resampling} to ${height} by ${width}`).to.deep.equal(new Set([value]))
        }
      }
    }
  })

  it('are those of the middle; the odd one goes below and to the right', () => {
    expect([...processImage(image(3, 4), cropping(2, 3), 'x.png').values]).to.deep.equal([1, 2, 3, 5, 6, 7])
    expect([...processImage(image(5, 1), cropping(1, 1), 'x.png').values]).to.deep.equal([3])
  })

  it('have black around them where the image is smaller, the odd one below and to the right', () => {
    expect([...processImage(image(1, 2), cropping(2, 5), 'x.png').values]).to.deep.equal([0, 1, 2, 0, 0, 0, 0, 0, 0, 0])
    expect([...processImage(image(1, 4), cropping(3, 2), 'x.png').values]).to.deep.equal([0, 0, 2, 3, 0, 0])
  })

  describe('are refused, naming the file,', () => {
    it('where the image does not come out in the size that the model takes', async () => {
      const takes = { channels: 3, height: 20, width: 20 }
      for (const config of [{ do_resize: false }, { size: { shortest_edge: 20 } }]) {
        const error = await rejection(readPixels(imagePath('photo.png'), parseImageProcessor(config, 'preprocessor_config.json', takes)))
        expect(error).to.have.property('name', 'InvalidDataError')
        for (const part of ['photo.png', '33 by 47', '20 by 20']) expect(error!.message).to.include(part)
      }
    })

    it('where a thin image would become a huge one', () => {
      const processor = parseImageProcessor({ image_processor_type: 'CLIPImageProcessor' }, 'preprocessor_config.json', { channels: 3, height: 224, width: 224 })
      expect(() => processImage(image(1, 3000), processor, 'thin.png')).to.throw(/thin\.png.*672000.*more than 100000000/).with.property('name', 'InvalidDataError')
    })

    it('where the file is not there', async () => {
      await withFolder({}, async folder => {
        const processor = parseImageProcessor(undefined, 'preprocessor_config.json', { channels: 1, height: 4, width: 4 })
        const error = await rejection(readPixels(join(folder, 'missing.png'), processor))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include('missing.png')
      })
    })
  })
})
