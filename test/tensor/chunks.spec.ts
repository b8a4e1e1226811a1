import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { CHUNK_BYTES, checkManifest, chunkOf, type Manifest, manifestOf, MAX_BLOB_BYTES, MAX_CHUNKS, verifyChunk } from '../../src/tensor/chunks.js'
import { failureOf } from '../support/failure.js'
import { seeded } from '../merge/random.js'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

function bytesOf (length: number, seed = 1): Uint8Array {
  const random = seeded(seed)
  return Uint8Array.from({ length }, () => random() * 256)
}

/** A manifest whose id is right, whatever else is wrong with it. */
function named (manifest: Omit<Manifest, 'id'>): Manifest {
  const id = createHash('sha256').update(Buffer.concat(manifest.chunks)).update(`${manifest.size}/${manifest.chunkSize}`).digest('hex')
  return { ...manifest, id }
}

function expectRefused (action: () => unknown, what: string): void {
  expect(action, what).to.throw().with.property('name', 'InvalidTensorError')
}

async function expectWrong (verified: Promise<void>, what: string): Promise<void> {
  expect((await failureOf(verified)).name, what).to.equal('InvalidTensorError')
}

describe('tensor: chunks of a blob', () => {
  it('give the blob again, each of its length, for every size around a chunk', async () => {
    for (const chunkSize of [1, 2, 7, 16]) {
      for (let size = 0; size <= 3 * chunkSize + 1; size++) {
        const bytes = bytesOf(size)
        const manifest = manifestOf(bytes, chunkSize)
        const chunks = [...manifest.chunks.keys()].map(index => chunkOf(bytes, manifest, index))
        expect(Buffer.concat(chunks).equals(bytes)).to.be.true
        expect(chunks.slice(0, -1).every(chunk => chunk.byteLength === chunkSize)).to.be.true
        expect(manifest.chunks).to.have.lengthOf(Math.ceil(size / chunkSize))
        expect(manifest).to.include({ size, chunkSize })
        checkManifest(manifest)
        for (const [index, chunk] of chunks.entries()) await verifyChunk(manifest, index, chunk)
      }
    }
  })

  it('are named by their hashes and the two lengths', () => {
    const bytes = bytesOf(10)
    const chunks = [bytes.subarray(0, 4), bytes.subarray(4, 8), bytes.subarray(8)].map(sha256)
    expect(manifestOf(bytes, 4)).to.deep.equal(named({ size: 10, chunkSize: 4, chunks }))
  })

  it('are half a MiB long where nothing else is said', () => {
    const { chunkSize, chunks } = manifestOf(new Uint8Array(CHUNK_BYTES + 1))
    expect({ chunkSize, chunks: chunks.length }).to.deep.equal({ chunkSize: 512 * 1024, chunks: 2 })
  })

  it('are views of the blob, and no copies', () => {
    const bytes = bytesOf(10)
    expect(chunkOf(bytes, { chunkSize: 4 }, 1)).to.include({ buffer: bytes.buffer, byteOffset: 4 })
  })

  it('have one name for the same content and another for any other', () => {
    const bytes = bytesOf(9)
    const within = new Uint8Array(20)
    within.set(bytes, 3)
    expect(manifestOf(within.subarray(3, 12), 4)).to.deep.equal(manifestOf(bytes, 4))
    const others = [bytes, bytes.subarray(1), bytes.subarray(0, 8), new Uint8Array(9), new Uint8Array(8), new Uint8Array(0), bytesOf(9, 2)]
    const ids = others.flatMap(other => [3, 4, 5].map(chunkSize => manifestOf(other, chunkSize).id))
    expect(new Set(ids).size).to.equal(ids.length)
  })

  it('are refused with one bit wrong, a byte more or less, or in another place', async () => {
    const bytes = bytesOf(10)
    const manifest = manifestOf(bytes, 4)
    for (const index of [0, 1, 2]) {
      const chunk = chunkOf(bytes, manifest, index)
      for (let bit = 0; bit < 8 * chunk.byteLength; bit++) {
        const flipped = chunk.slice()
        flipped[bit >>> 3] ^= 1 << (bit & 7)
        await expectWrong(verifyChunk(manifest, index, flipped), `bit ${bit}`)
      }
      await expectWrong(verifyChunk(manifest, index, chunk.subarray(1)), 'too short')
      await expectWrong(verifyChunk(manifest, index, Buffer.concat([chunk, Buffer.of(0)])), 'too long')
      await expectWrong(verifyChunk(manifest, index, new Uint8Array(0)), 'empty')
      await expectWrong(verifyChunk(manifest, (index + 1) % 3, chunk), 'elsewhere')
    }
    await expectWrong(verifyChunk(manifest, 3, bytes.subarray(0, 4)), 'beyond the end')
  })

  it('are refused where a hash is right but the length is not the one that was announced', async () => {
    const bytes = bytesOf(10)
    const lie = named({ size: 8, chunkSize: 4, chunks: [sha256(bytes), sha256(bytes.subarray(4, 8))] })
    await expectWrong(verifyChunk(lie, 0, bytes), 'too long')
    await verifyChunk(lie, 1, bytes.subarray(4, 8))
  })

  it('are refused when their manifest contradicts itself, though its id is right', () => {
    const chunks = [1, 2, 3].map(seed => sha256(bytesOf(4, seed)))
    checkManifest(named({ size: 12, chunkSize: 4, chunks }))
    checkManifest(named({ size: 9, chunkSize: 4, chunks }))
    checkManifest(named({ size: 0, chunkSize: 4, chunks: [] }))
    for (const size of [0, 8, 13, -1, -12, 11.5, NaN, Infinity]) expectRefused(() => checkManifest(named({ size, chunkSize: 4, chunks })), `size ${size}`)
    for (const chunkSize of [0, 3, 6, -4, 4.5, NaN, Infinity]) expectRefused(() => checkManifest(named({ size: 12, chunkSize, chunks })), `chunkSize ${chunkSize}`)
    for (const size of [-1, -0.5, NaN]) expectRefused(() => checkManifest(named({ size, chunkSize: 4, chunks: [] })), `size ${size} of nothing`)
  })

  it('are refused when their manifest has the id of another', () => {
    const manifest = manifestOf(bytesOf(12), 4)
    const { chunks, id } = manifest
    expectRefused(() => checkManifest({ ...manifest, chunks: [chunks[1], chunks[0], chunks[2]] }), 'order')
    expectRefused(() => checkManifest({ ...manifest, size: 11 }), 'size')
    expectRefused(() => checkManifest({ ...manifest, chunkSize: 5 }), 'chunk size')
    expectRefused(() => checkManifest({ ...manifest, id: id.toUpperCase() }), 'id')
    expectRefused(() => checkManifest({ ...manifest, id: manifestOf(bytesOf(12, 2), 4).id }), 'other content')
  })

  it('are refused when they are too many or too long, or of too large a blob, before memory is taken', () => {
    const hash = sha256(new Uint8Array(0))
    const of = (size: number, chunkSize: number): Manifest => named({ size, chunkSize, chunks: Array.from({ length: Math.ceil(size / chunkSize) }, () => hash) })
    checkManifest(of(MAX_BLOB_BYTES, CHUNK_BYTES))
    checkManifest(of(MAX_CHUNKS, 1))
    expectRefused(() => checkManifest(of(MAX_BLOB_BYTES + 1, CHUNK_BYTES)), 'large blob')
    expectRefused(() => checkManifest(of(MAX_CHUNKS + 1, 1)), 'many chunks')
    expectRefused(() => checkManifest(of(10, CHUNK_BYTES + 1)), 'long chunks')
    expectRefused(() => manifestOf(new Uint8Array(MAX_CHUNKS + 1), 1), 'many chunks of our own')
    for (const chunkSize of [0, -1, 1.5, NaN, CHUNK_BYTES + 1]) expectRefused(() => manifestOf(bytesOf(3), chunkSize), `our own chunks of ${chunkSize}`)
  })

  it('are never so many that a manifest fills what may be gossiped', () => {
    expect(MAX_CHUNKS * 32).to.be.at.most(64 * 1024 / 2)
  })
})
