import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { findModules, gatherTexts, KIND_NAMES } from '../../../src/cli/simulate/texts.js'
import { rejection } from '../../data/folder.js'
import { temporaryFolder } from '../../support/temporary-folder.js'

const long = (seed: string): string => Array.from({ length: 200 }, (_, i) => `${seed}, line ${i}: the quick brown fox jumps over it`).join('\n')

describe('gatherTexts', () => {
  const folder = temporaryFolder()

  async function write (files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder(), path)), { recursive: true })
      await writeFile(join(folder(), path), content)
    }
  }

  it('tells kinds apart by the names of files, and takes of package.json what it says of the package', async () => {
    await write({
      'a/index.ts': long('source'),
      'a/lib.min.js': long('minified'),
      '@scope/b/LICENSE': long('licence'),
      '@scope/b/LICENCE-MIT.txt': long('another licence'),
      '@scope/b/license.js': long('no licence'),
      '@scope/b/package.json': JSON.stringify({ name: 'b', version: '1.0.0', description: long('described'), keywords: ['x', 'y'] }),
      'broken/package.json': '{'
    })
    const texts = await gatherTexts(folder(), 3)
    expect(texts.map(({ name }) => name)).to.deep.equal(['licences', 'descriptions', 'minified'])
    expect(texts[0].text).to.equal(`${long('another licence')}\n\n${long('licence')}\n`)
    expect(texts[1].text).to.equal(`b\n${long('described')}\nx, y\n`)
    expect(texts[2].text).to.equal(`${long('minified')}\n`)
  })

  it('takes each text once, none that is not UTF-8, and no links', async () => {
    await write({
      'a/LICENSE': long('terms'),
      'b/LICENSE': `${long('terms')}\n\n`,
      'c/LICENSE': Uint8Array.of(0xff, 0xfe),
      'd/LICENSE': ''
    })
    await write({ 'elsewhere/e.txt': long('linked') })
    await symlink(join(folder(), 'elsewhere', 'e.txt'), join(folder(), 'LICENSE'))
    expect((await gatherTexts(folder(), 1))[0].text).to.equal(`${long('terms')}\n`)
  })

  it('takes little of one file and little in all, in whole lines and whole characters', async () => {
    await write(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`p${i}/LICENSE`, `${long(`ä${i}`)}\n`.repeat(10)])))
    await write({ 'a/package.json': JSON.stringify({ name: 'a', description: long('described') }) })
    await write({ 'a/a.min.js': 'ä'.repeat(20_000) + 'x', 'b/b.min.js': 'ß'.repeat(9_000).slice(1) })
    const [{ text }, , minified] = await gatherTexts(folder(), 3)
    expect(Buffer.byteLength(text)).to.be.within(350_000, 400_000)
    for (const line of text.trim().split('\n')) expect(line).to.match(/^(ä\d+, line \d+: the quick brown fox jumps over it)?$/)
    expect(minified.text).to.match(/^ä{8000}\n\nß{8000}\n$/)
  })

  it('is the same each time', async () => {
    await write({ 'b/LICENSE': long('b'), 'a/LICENSE': long('a') })
    const first = await gatherTexts(folder(), 1)
    expect(first[0].text.startsWith('a,')).to.equal(true)
    expect(await gatherTexts(folder(), 1)).to.deep.equal(first)
  })

  it('refuses where there is too little of a kind', async () => {
    await write({ 'a/LICENSE': 'export {}' })
    expect(await rejection(gatherTexts(folder(), 1))).to.have.property('name', 'InvalidDataError')
  })

  it('finds text for every trainer here, all of it different', async () => {
    const texts = await gatherTexts(findModules(process.cwd()), KIND_NAMES.length)
    expect(texts.map(({ name }) => name)).to.deep.equal(KIND_NAMES)
    expect(new Set(texts.map(({ text }) => text)).size).to.equal(texts.length)
  })
})

describe('findModules', () => {
  const folder = temporaryFolder()

  it('is that of the clone', async () => {
    await mkdir(join(folder(), 'clone', 'node_modules'), { recursive: true })
    expect(findModules(join(folder(), 'clone'))).to.equal(join(folder(), 'clone', 'node_modules'))
  })

  it('is that which the package was installed into, not one of its own', async () => {
    const installed = join(folder(), 'node_modules', 'colanet')
    await mkdir(join(installed, 'node_modules'), { recursive: true })
    expect(findModules(installed)).to.equal(join(folder(), 'node_modules'))
  })

  it('refuses where there is none', () => {
    expect(() => findModules(folder())).to.throw().with.property('name', 'InvalidDataError')
  })
})
