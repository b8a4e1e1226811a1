import { expect } from 'chai'
import { mkdir, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { readImageFolder } from '../../../src/data/images/image-folder.js'
import { rejection, withFolder } from '../folder.js'

const files = (...names: string[]): Record<string, string> => Object.fromEntries(names.map(name => [name, '']))

/** As `label: path below the folder`. */
async function listed (folder: string, ...paths: string[]): Promise<string[]> {
  const images = await readImageFolder(paths.map(path => join(folder, path)))
  return images.map(({ path, label }) => `${label}: ${relative(folder, path)}`)
}

describe('data: folders of images', () => {
  it('are read class by class and name by name, in the order of code units', async () => {
    await withFolder(files('b/2.png', 'b/10.png', 'a/x.jpg', 'B/é.jpeg', 'B/z.png'), async folder => {
      expect(await listed(folder, '.')).to.deep.equal(['B: B/z.png', 'B: B/é.jpeg', 'a: a/x.jpg', 'b: b/10.png', 'b: b/2.png'])
    })
  })

  it('may have folders below a class, extensions in capitals, and one class only', async () => {
    await withFolder(files('cat/2021/may/x.PNG', 'cat/2020/y.JpG', 'cat/z.JPEG'), async folder => {
      expect(await listed(folder, '.')).to.deep.equal(['cat: cat/2020/y.JpG', 'cat: cat/2021/may/x.PNG', 'cat: cat/z.JPEG'])
    })
  })

  it('are read with what is hidden or no image passed over', async () => {
    await withFolder(files('.cache/x.png', 'README.md', 'a/.x.png', 'a/.hidden/y.png', 'a/notes.txt', 'a/x.webp', 'a/png', 'a/x.png'), async folder => {
      expect(await listed(folder, '.')).to.deep.equal(['a: a/x.png'])
    })
  })

  it('are read one after the other, with links followed', async () => {
    await withFolder(files('one/b/x.png', 'two/a/x.png', 'two/b/y.png'), async folder => {
      await mkdir(join(folder, 'three'))
      await symlink(join(folder, 'one', 'b'), join(folder, 'three', 'c'))
      await symlink(join(folder, 'two', 'b', 'y.png'), join(folder, 'two', 'b', 'z.png'))
      expect(await listed(folder, 'two', 'one', 'three')).to.deep.equal([
        'a: two/a/x.png', 'b: two/b/y.png', 'b: two/b/z.png', 'b: one/b/x.png', 'c: three/c/x.png'
      ])
    })
  })

  it('may have a class that is named as a part of a set, beside others', async () => {
    await withFolder(files('test/x.png', 'quiz/x.png'), async folder => {
      expect(await listed(folder, '.')).to.deep.equal(['quiz: quiz/x.png', 'test: test/x.png'])
    })
  })

  describe('are refused, by name,', () => {
    const refused: Array<[what: string, files: string[], path: string, parts: string[]]> = [
      ['that are not there', ['a/x.png'], 'missing', ['missing', 'ENOENT', 'subfolders']],
      ['that are a file', ['a/x.png'], 'a/x.png', ['a/x.png', 'ENOTDIR']],
      ['without classes', ['x.png', 'y.png'], '.', ['no subfolders', '2 images', 'classes']],
      ['with images beside the classes', ['a/x.png', 'y.png', 'z.jpg'], '.', ['y.png and 1 more', 'beside the classes a']],
      ['with a class without images', ['a/x.png', 'b/x.gif', 'b/y.gif'], '.', ['/b:', 'no images', '2 other files, such as x.gif', '.jpeg']],
      ['with an empty class', ['a/x.png', 'b/.keep'], '.', ['/b:', 'no images', '0 other files']],
      ['that hold the parts of a set', ['train/a/x.png', 'test/a/x.png'], '.', ['test, train', 'no class', 'test']],
      ['that hold one part of a set', ['Train/a/x.png'], '.', ['Train is a part']]
    ]
    for (const [what, names, path, parts] of refused) {
      it(`those ${what}`, async () => {
        await withFolder(files(...names), async folder => {
          const error = await rejection(listed(folder, path))
          expect(error).to.have.property('name', 'InvalidDataError')
          for (const part of [folder, ...parts]) expect(error!.message).to.include(part)
        })
      })
    }

    it('those with a link that leads nowhere', async () => {
      await withFolder(files('a/x.png'), async folder => {
        await symlink(join(folder, 'gone'), join(folder, 'b'))
        const error = await rejection(listed(folder, '.'))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include(join(folder, 'b'))
      })
    })

    it('none at all', async () => {
      expect(await rejection(readImageFolder([]))).to.have.property('name', 'InvalidDataError')
    })
  })
})
