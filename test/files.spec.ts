import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { replaceFile, replaceFolder } from '../src/files.js'
import { temporaryFolder } from './support/temporary-folder.js'
import { failureOf } from './support/failure.js'

describe('replaceFile', () => {
  const folder = temporaryFolder()

  it('makes a file, and the folders above it', async () => {
    const path = join(folder(), 'a', 'b', 'c.txt')
    await replaceFile(path, 'new')
    expect(await readFile(path, 'utf8')).to.equal('new')
  })

  it('takes the place of what was there, longer or shorter', async () => {
    const path = join(folder(), 'file')
    for (const content of ['some text', 'x', new Uint8Array(100_000).fill(7), '']) {
      await replaceFile(path, content)
      expect((await readFile(path)).equals(Buffer.from(content))).to.equal(true)
    }
    expect(await readdir(folder())).to.deep.equal(['file'])
  })

  it('gives the file the permissions that it is told, whatever those were that it had', async () => {
    const path = join(folder(), 'secret')
    await writeFile(path, 'open')
    await chmod(path, 0o666)
    await replaceFile(path, 'closed', 0o600)
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
  })

  it('is whole at any time: a reader sees the old or the new', async () => {
    const path = join(folder(), 'file')
    const contents = ['a', 'b'].map(letter => letter.repeat(300_000))
    await replaceFile(path, contents[0])
    const writing = Promise.all(contents.map(async content => { await replaceFile(path, content) })).then(() => true)
    let done = false
    while (!done) {
      expect(contents).to.include(await readFile(path, 'utf8'))
      done = await Promise.race([writing, Promise.resolve(false)])
    }
  })

  it('of those who write at the same time, one wins whole', async () => {
    const path = join(folder(), 'file')
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(50_000))
    await Promise.all(contents.map(async content => { await replaceFile(path, content) }))
    expect(contents).to.include(await readFile(path, 'utf8'))
    expect(await readdir(folder())).to.deep.equal(['file'])
  })

  it('leaves all as it was when the place above it is a file', async () => {
    await writeFile(join(folder(), 'file'), 'old')
    const failure = await failureOf(replaceFile(join(folder(), 'file', 'below'), 'new'))
    expect(failure).to.have.property('code').that.is.oneOf(['ENOTDIR', 'EEXIST'])
    expect(await readFile(join(folder(), 'file'), 'utf8')).to.equal('old')
    expect(await readdir(folder())).to.deep.equal(['file'])
  })

  it('leaves all as it was when the place is a folder', async () => {
    const path = join(folder(), 'place')
    await mkdir(join(path, 'inner'), { recursive: true })
    expect(await failureOf(replaceFile(path, 'new'))).to.have.property('code', 'EISDIR')
    expect(await readdir(folder())).to.deep.equal(['place'])
    expect(await readdir(path)).to.deep.equal(['inner'])
  })

  it('leaves all as it was when it cannot write', async () => {
    const path = join(folder(), 'x'.repeat(255)) // as long as a name may be: none beside it can be longer
    expect(await failureOf(replaceFile(path, 'new'))).to.have.property('code', 'ENAMETOOLONG')
    expect(await readdir(folder())).to.deep.equal([])
  })
})

describe('replaceFolder', () => {
  const folder = temporaryFolder()

  /** What files are in a folder, with what in them. */
  async function contents (path: string): Promise<Record<string, string>> {
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
    return Object.fromEntries(await Promise.all(files.map(async (file): Promise<[string, string]> => [file.slice(path.length + 1), await readFile(file, 'utf8')])))
  }

  it('makes a folder of these files, in folders of their own too', async () => {
    const path = join(folder(), 'above', 'made')
    await replaceFolder(path, { a: '1', 'below/b': Buffer.from('2') })
    expect(await contents(path)).to.deep.equal({ a: '1', 'below/b': '2' })
  })

  it('leaves nothing of what lay there before', async () => {
    const path = join(folder(), 'made')
    await replaceFolder(path, { a: 'old', b: 'old' })
    await replaceFolder(path, { b: 'new', c: 'new' })
    expect(await contents(path)).to.deep.equal({ b: 'new', c: 'new' })
    expect(await readdir(folder())).to.deep.equal(['made'])
  })

  it('makes an empty folder of no files', async () => {
    const path = join(folder(), 'made')
    await replaceFolder(path, { a: 'old' })
    await replaceFolder(path, {})
    expect(await readdir(path)).to.deep.equal([])
    expect(await readdir(folder())).to.deep.equal(['made'])
  })

  it('takes a path as a shell completes it, with a slash at its end', async () => {
    for (const content of ['old', 'new']) await replaceFolder(join(folder(), 'made') + '/', { a: content })
    expect(await contents(join(folder(), 'made'))).to.deep.equal({ a: 'new' })
    expect(await readdir(folder())).to.deep.equal(['made'])
  })

  it('leaves all as it was when a file cannot be written', async () => {
    const path = join(folder(), 'made')
    await replaceFolder(path, { a: 'old' })
    await failureOf(replaceFolder(path, { b: 'new', 'b/c': 'b is a file' }))
    expect(await contents(path)).to.deep.equal({ a: 'old' })
    expect(await readdir(folder())).to.deep.equal(['made'])
  })

  it('makes nothing when the place above it is a file', async () => {
    await writeFile(join(folder(), 'file'), 'old')
    await failureOf(replaceFolder(join(folder(), 'file', 'made'), { a: 'new' }))
    expect(await contents(folder())).to.deep.equal({ file: 'old' })
  })
})
