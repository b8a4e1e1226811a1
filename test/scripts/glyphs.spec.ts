import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { decodeImage } from '../../src/data/images/decode.js'
import { type LabelledImage, readImageFolder } from '../../src/data/images/image-folder.js'
import { drawGlyph, KINDS } from '../../scripts/glyphs/draw.js'
import { withFolder } from '../data/folder.js'
import { seeded } from '../merge/random.js'

const ROOT = join(import.meta.dirname, '..', '..')

async function draw (out: string, ...options: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, ['--import', 'tsx', join(ROOT, 'scripts', 'glyphs.ts'), '--out', out, ...options], { cwd: ROOT })
}

async function pixelsOf (images: readonly LabelledImage[]): Promise<Map<string, Uint8Array>> {
  const decoded = await Promise.all(images.map(async ({ path, label }) =>
    [`${label}/${path.slice(-7)}`, (await decodeImage(await readFile(path), path)).values] as const))
  return new Map(decoded)
}

function mean (values: Uint8Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

describe('scripts: glyphs', () => {
  it('are the same for the same random numbers, and others for others', () => {
    for (let kind = 0; kind < KINDS; kind++) {
      const glyph = drawGlyph(kind, 16, seeded(kind))
      expect(glyph).to.have.lengthOf(16 * 16)
      expect(drawGlyph(kind, 16, seeded(kind))).to.deep.equal(glyph)
      expect(drawGlyph(kind, 16, seeded(kind + 1))).not.to.deep.equal(glyph)
    }
  })

  it('are light on dark, of any kind and size, each in full view', () => {
    for (let kind = 0; kind < KINDS; kind++) {
      for (const size of [8, 16, 33]) {
        for (let seed = 0; seed < 20; seed++) {
          const glyph = drawGlyph(kind, size, seeded(seed), 0)
          expect(Math.max(...glyph) - Math.min(...glyph), `${kind} of ${size}, seed ${seed}`).to.be.above(80)
          expect(mean(glyph), `${kind} of ${size}, seed ${seed}`).to.be.within(Math.min(...glyph) + 3, Math.max(...glyph) - 80)
        }
      }
    }
  })

  it('lie in folders by class, as many of each, the same for the same seed whatever their number', async () => {
    await withFolder({}, async folder => {
      await draw(join(folder, 'one'), '--size', '8', '--per-class', '3', '--test-per-class', '1', '--seed', '7')
      await draw(join(folder, 'two'), '--size', '8', '--per-class', '2', '--test-per-class', '1', '--seed', '7')
      const one = await readImageFolder([join(folder, 'one', 'train')])
      const labels = Array.from({ length: KINDS }, (_, kind) => String(kind))
      expect(one.map(({ label }) => label)).to.deep.equal(labels.flatMap(label => [label, label, label]))
      expect((await readImageFolder([join(folder, 'one', 'test')])).map(({ label }) => label)).to.deep.equal(labels)

      const more = await pixelsOf(one)
      const fewer = await pixelsOf(await readImageFolder([join(folder, 'two', 'train')]))
      expect(fewer.size).to.equal(20)
      for (const [name, pixels] of fewer) expect(more.get(name), name).to.deep.equal(pixels)
      expect(new Set([...more.values()].map(String)).size).to.equal(30)
    })
  })
})
