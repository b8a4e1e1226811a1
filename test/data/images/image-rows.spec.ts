import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import sharp from 'sharp'
import { BatchSource, heldOutBatches } from '../../../src/data/batches.js'
import { parseImageProcessor } from '../../../src/data/images/image-processor.js'
import { type ImageOptions, loadImages } from '../../../src/data/images/image-rows.js'
import type { Dataset } from '../../../src/data/load.js'
import type { RowSet } from '../../../src/data/row-set.js'
import { tensorIn } from '../../support/batch.js'
import { rejection, withFolder } from '../folder.js'

const LABELS = ['cat', 'dog']
const PROCESSOR = parseImageProcessor(undefined, 'preprocessor_config.json', { channels: 1, height: 1, width: 2 })

/** One row of grey pixels, whose values become `value / 127.5 - 1`. */
async function png (...values: number[]): Promise<Uint8Array> {
  return await sharp(Uint8Array.from(values), { raw: { width: values.length, height: 1, channels: 1 } }).png().toBuffer()
}

async function load (options: Partial<ImageOptions> & Pick<ImageOptions, 'paths'>): Promise<Dataset> {
  return await loadImages({ processor: PROCESSOR, labels: LABELS, ...options })
}

/** So many different images of each class, by their paths. */
async function imagesOf (count: number, ...classes: string[]): Promise<Record<string, Uint8Array>> {
  const entries = classes.flatMap((name, label) => Array.from({ length: count }, (_, i) => [`${name}/${i}.png`, [i, label]] as const))
  return Object.fromEntries(await Promise.all(entries.map(async ([path, values]) => [path, await png(...values)] as const)))
}

const contents = (rows: RowSet): string[] => Array.from({ length: rows.count }, (_, row) => JSON.stringify(rows.contentOf(row).map(values => [...values])))
const labelsOf = async (rows: RowSet): Promise<number[]> => [...tensorIn(await rows.batch([...Array(rows.count).keys()]), 'labels').values]

describe('data: rows of images', () => {
  it('become pixels and classes', async () => {
    await withFolder({ 'cat/1.png': await png(0, 255), 'dog/2.png': await png(255, 255) }, async folder => {
      const { train, heldOut, ...rest } = await load({ paths: [folder], heldOutShare: 0 })
      expect([train.count, heldOut.count, rest]).to.deep.equal([2, 0, { truncated: 0, documents: 2 }])
      expect(await train.batch([1, 0, 1])).to.deep.equal({
        rows: 3,
        tensors: new Map<string, unknown>([
          ['pixel_values', { shape: [3, 1, 1, 2], values: Float32Array.of(1, 1, -1, 1, 1, 1) }],
          ['labels', { shape: [3], values: Int32Array.of(1, 0, 1) }]
        ])
      })
    })
  })

  it('are of classes by the names of their folders, or by indices', async () => {
    await withFolder(await imagesOf(1, 'dog', 'cat'), async folder => {
      expect(await labelsOf((await load({ paths: [folder], heldOutShare: 0 })).train)).to.deep.equal([0, 1])
      expect(await labelsOf((await load({ paths: [folder], heldOutShare: 0, labels: ['dog', 'bird', 'cat'] })).train)).to.deep.equal([2, 0])
    })
    await withFolder(await imagesOf(1, '1', '0'), async folder => {
      expect(await labelsOf((await load({ paths: [folder], heldOutShare: 0 })).train)).to.deep.equal([0, 1])
    })
  })

  it('are decoded when a batch is made of them, and not before', async () => {
    await withFolder({ 'cat/1.png': await png(0, 1), 'dog/damaged.png': 'no image', 'dog/gone.png': await png(1, 1) }, async folder => {
      const { train } = await load({ paths: [folder], heldOutShare: 0 })
      await rm(join(folder, 'dog', 'gone.png'))
      expect(train.count).to.equal(3)
      expect((await train.batch([0])).rows).to.equal(1)
      for (const [row, name] of [[1, 'damaged.png'], [2, 'gone.png']] as const) {
        const error = await rejection(train.batch([0, row]))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include(name)
      }
    })
  })

  it('are held out by their content: the same bytes on the same side, whatever they are called', async () => {
    const images = await imagesOf(30, 'cat', 'dog')
    const copies = Object.fromEntries(Object.entries(images).map(([path, bytes]) => [path.replace('/', '/copies/'), bytes]))
    await withFolder({ ...images, ...copies }, async folder => {
      const { train, heldOut, documents } = await load({ paths: [folder], heldOutShare: 0.3 })
      expect([documents, train.count + heldOut.count]).to.deep.equal([120, 120])
      expect(heldOut.count).to.be.within(12, 60)
      expect(contents(heldOut).filter(content => contents(train).includes(content))).to.deep.equal([])
    })
    await withFolder(images, async folder => {
      const [few, more] = [await load({ paths: [folder], heldOutShare: 0.1 }), await load({ paths: [folder], heldOutShare: 0.5 })]
      expect(contents(more.heldOut)).to.include.members(contents(few.heldOut))
      expect(contents((await load({ paths: [folder] })).heldOut)).to.deep.equal(contents(few.heldOut)) // a tenth, where nothing is said
    })
  })

  it('differ in content where the bytes or the class do', async () => {
    const [one, other] = [await png(0, 0), await png(0, 1)]
    await withFolder({ 'cat/1.png': one, 'cat/2.png': other, 'cat/3.png': one, 'dog/1.png': one }, async folder => {
      const [first, second, third, fourth] = contents((await load({ paths: [folder], heldOutShare: 0 })).train)
      expect(new Set([first, second, fourth]).size).to.equal(3)
      expect(third).to.equal(first)
    })
  })

  it('make batches to train on and to evaluate', async () => {
    await withFolder(await imagesOf(6, 'cat', 'dog'), async folder => {
      const { train, heldOut } = await load({ paths: [folder], heldOutShare: 0.3 })
      for (const groupByLength of [false, true]) {
        const batch = await new BatchSource(train, { batchSize: 4, seed: 1, groupByLength }).at(3)
        expect(tensorIn(batch, 'pixel_values').shape).to.deep.equal([4, 1, 1, 2])
      }
      const batches = heldOutBatches(heldOut, 2)
      expect((await batches.at(batches.count - 1)).rows).to.equal(heldOut.count % 2 === 0 ? 2 : 1)
    })
  })

  it('tell how far their reading is, and end with its signal', async () => {
    await withFolder(await imagesOf(3, 'cat', 'dog'), async folder => {
      const calls: number[][] = []
      await load({ paths: [folder], onProgress: (...call) => calls.push(call) })
      expect(calls).to.deep.equal([1, 2, 3, 4, 5, 6].map(done => [done, 6]))
      const controller = new AbortController()
      const error = await rejection(load({ paths: [folder], signal: controller.signal, onProgress: () => { controller.abort() } }))
      expect(error).to.have.property('name', 'AbortError')
    })
  })

  it('are refused where the model has no such class, or the share is not possible', async () => {
    await withFolder(await imagesOf(1, 'cat', 'horse'), async folder => {
      const error = await rejection(load({ paths: [folder] }))
      expect(error).to.have.property('name', 'InvalidDataError')
      for (const part of [join(folder, 'horse'), '"horse"', 'cat, dog']) expect(error!.message).to.include(part)
      for (const heldOutShare of [1, -0.1, NaN]) {
        expect(await rejection(load({ paths: [folder], heldOutShare }))).to.have.property('name', 'InvalidOptionError')
      }
    })
  })
})
