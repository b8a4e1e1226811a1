import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { hashOfFile } from '../../../src/data/images/content-hash.js'
import { rejection, withFolder } from '../folder.js'

describe('data: hash of an image file', () => {
  it('is sha-256 of the bytes, whatever the name', async () => {
    const bytes = new Uint8Array(200_000).map((_, i) => i * 7)
    await withFolder({ 'a.png': bytes, 'b/c.jpg': bytes, 'd.png': bytes.subarray(1), 'empty.png': '' }, async folder => {
      const expected = createHash('sha256').update(bytes).digest('hex')
      expect((await hashOfFile(join(folder, 'a.png'))).toString('hex')).to.equal(expected)
      expect((await hashOfFile(join(folder, 'b/c.jpg'))).toString('hex')).to.equal(expected)
      expect((await hashOfFile(join(folder, 'd.png'))).toString('hex')).not.to.equal(expected)
      expect((await hashOfFile(join(folder, 'empty.png'))).toString('hex')).to.equal(createHash('sha256').digest('hex'))
    })
  })

  it('is refused of what cannot be read, by name', async () => {
    await withFolder({ 'a/x.png': '' }, async folder => {
      for (const name of ['missing.png', 'a']) {
        const error = await rejection(hashOfFile(join(folder, name)))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include(name)
      }
    })
  })
})
