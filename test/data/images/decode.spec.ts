import { expect } from 'chai'
import { readdir, readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { decodeImage } from '../../../src/data/images/decode.js'
import { rejection } from '../folder.js'
import { imagePath } from './cases.js'

const PNG = ['rgb.png', 'palette.png', 'grey-16-bit.png']
const JPEG = ['tall.jpg', 'progressive.jpg', 'cmyk.jpg', 'grey.jpg']

async function read (file: string): Promise<Buffer> {
  return await readFile(imagePath(file))
}

async function expectRefused (bytes: Uint8Array, ...parts: string[]): Promise<void> {
  const error = await rejection(decodeImage(bytes, 'the file'))
  expect(error, parts.join(', ')).to.have.property('name', 'InvalidDataError')
  for (const part of ['the file', ...parts]) expect(error!.message).to.include(part)
}

/** A PNG whose header claims another size. */
async function claiming (width: number, height: number): Promise<Buffer> {
  const bytes = Buffer.from(await read('rgb.png'))
  bytes.writeUInt32BE(width, 16)
  bytes.writeUInt32BE(height, 20)
  bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29)
  return bytes
}

describe('data: decoding images', () => {
  it('gives red, green and blue of every file, once each', async () => {
    for (const file of await readdir(imagePath('.'))) {
      const { width, height, channels, values } = await decodeImage(await read(file), file)
      expect(channels).to.equal(3)
      expect(values, file).to.have.lengthOf(height * width * 3)
    }
  })

  it('goes by the content, not by the name', async () => {
    expect(await decodeImage(await read('tall.jpg'), 'tall.png')).to.deep.equal(await decodeImage(await read('tall.jpg'), 'tall.jpg'))
  })

  it('gives the same of an interlaced PNG', async () => {
    const plain = await read('photo.png')
    const interlaced = await sharp(plain).png({ progressive: true }).toBuffer()
    expect(await decodeImage(interlaced, 'x.png')).to.deep.equal(await decodeImage(plain, 'x.png'))
  })

  it('takes what a file has after its end', async () => {
    for (const file of [...PNG, ...JPEG]) {
      const bytes = await read(file)
      expect(await decodeImage(Buffer.concat([bytes, Buffer.from('more')]), file)).to.deep.equal(await decodeImage(bytes, file))
    }
  })

  it('refuses what ends too early, wherever it does', async () => {
    for (const [files, spared] of [[PNG, 16], [JPEG, 1]] as const) { // after the pixels of a PNG stand 4 bytes of a checksum and 12 that say the end
      for (const file of files) {
        const bytes = await read(file)
        for (let length = 8; length <= bytes.length - spared - 1; length += 37) await expectRefused(bytes.subarray(0, length), 'truncated')
        await expectRefused(bytes.subarray(0, bytes.length - spared - 1), 'truncated')
      }
    }
  })

  it('refuses a PNG with a bit changed', async () => {
    const bytes = await read('rgb.png')
    for (let position = 45; position < bytes.length - 16; position += 29) {
      const damaged = Buffer.from(bytes)
      damaged[position] ^= 0x10
      await expectRefused(damaged, 'damaged')
    }
  })

  it('refuses an empty file, and what is neither PNG nor JPEG', async () => {
    await expectRefused(new Uint8Array(), 'empty')
    const webp = await sharp(await read('rgb.png')).webp().toBuffer()
    for (const bytes of [webp, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), Buffer.from('GIF89a'), Buffer.from([0x89])]) {
      await expectRefused(bytes, 'neither PNG nor JPEG')
    }
  })

  it('refuses more than 100 megapixels before it takes memory for them', async () => {
    await expectRefused(await claiming(20_000, 5_001), '20000 by 5001', '100000000')
    await expectRefused(await claiming(2 ** 31 - 1, 2 ** 31 - 1))
  })
})
