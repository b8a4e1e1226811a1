import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { hashFile, startHash } from '../../src/hub/checksum.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'

describe('checksums', () => {
  const folder = temporaryFolder()

  it('are what git hash-object and sha256sum say', () => {
    // printf 'hello\n' | git hash-object --stdin; printf 'hello\n' | sha256sum; the empty ones
    for (const [kind, text, value] of [
      ['git', 'hello\n', 'ce013625030ba8dba906f756967f9e9ca394464a'],
      ['git', '', 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'],
      ['sha256', 'hello\n', '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03'],
      ['sha256', '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']
    ] as const) {
      expect(startHash(kind, text.length).update(text).digest('hex')).to.equal(value)
    }
  })

  it('of a file are those of its bytes, however it is read', async () => {
    const path = join(folder(), 'file')
    const content = Buffer.alloc(2_500_000, 'some content')
    await writeFile(path, content)
    const [hash, counts] = [startHash('git', content.byteLength), [] as number[]]
    await hashFile(path, hash, content.byteLength, new AbortController().signal, count => counts.push(count))
    expect(hash.digest('hex')).to.equal(startHash('git', content.byteLength).update(content).digest('hex'))
    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(content.byteLength)
    const first = startHash('sha256', 4)
    await hashFile(path, first, 4, new AbortController().signal)
    expect(first.digest('hex')).to.equal(startHash('sha256', 4).update('some').digest('hex'))
    expect((await failureOf(hashFile(path, startHash('git', 1), 1, AbortSignal.abort()))).name).to.equal('AbortError')
  })
})
