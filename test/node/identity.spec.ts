import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { loadIdentity } from '../../src/node/identity.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

describe('identity', () => {
  const folder = temporaryFolder()
  const file = (): string => join(folder(), 'identity.key')

  it('is the same each time, in its folder', async () => {
    const ids = new Set<string>()
    for (let i = 0; i < 3; i++) ids.add(peerIdFromPrivateKey(await loadIdentity(folder())).toString())
    expect(ids.size).to.equal(1)
  })

  it('is another one in another folder, which is made if there is none', async () => {
    const [a, b] = [await loadIdentity(join(folder(), 'a')), await loadIdentity(join(folder(), 'b', 'c'))]
    expect(a.equals(b)).to.equal(false)
  })

  it('is an Ed25519 key, so that who knows the peer id can verify what it signs', async () => {
    const { publicKey } = peerIdFromPrivateKey(await loadIdentity(folder()))
    expect(publicKey?.type).to.equal('Ed25519')
  })

  it('may be read by nobody else', async () => {
    await loadIdentity(folder())
    expect((await stat(file())).mode & 0o777).to.equal(0o600)
  })

  describe('whose file is damaged is refused, and the file left as it is:', () => {
    const damages: Record<string, (key: Uint8Array) => Uint8Array | Promise<Uint8Array>> = {
      empty: () => new Uint8Array(),
      'cut short': key => key.subarray(0, 40),
      'without its last byte': key => key.subarray(0, -1),
      'one byte longer': key => Uint8Array.of(...key, 0),
      text: () => Buffer.from('-----BEGIN PRIVATE KEY-----\n'),
      'one bit of its secret half': key => flipped(key, 10),
      'one bit of its public half': key => flipped(key, 50),
      'a key of another kind': async () => privateKeyToProtobuf(await generateKeyPair('secp256k1'))
    }
    for (const [how, damage] of Object.entries(damages)) {
      it(how, async () => {
        await loadIdentity(folder())
        const damaged = await damage(await readFile(file()))
        await writeFile(file(), damaged)
        expect((await failureOf(loadIdentity(folder()))).name).to.equal('InvalidIdentityError')
        expect((await readFile(file())).equals(damaged)).to.equal(true)
      })
    }
  })

  it('whose file cannot be read is not made anew', async () => {
    await writeFile(join(folder(), 'occupied'), '')
    expect(await failureOf(loadIdentity(join(folder(), 'occupied')))).to.have.property('code', 'ENOTDIR')
  })
})

function flipped (bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((byte, i) => i === at ? byte ^ 1 : byte)
}
