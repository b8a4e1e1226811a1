import { expect } from 'chai'
import { decodeInvite, encodeInvite } from '../../src/node/invite.js'
import { failureOf } from '../support/failure.js'

const ADDRESS = '/ip4/192.168.1.2/tcp/4001/p2p/12D3KooWGRUacXnJvQ1MYzYUGYh1DXzMGq5KSd3rbrD5fSNDFpUa'
const INVITE = {
  addresses: [ADDRESS],
  job: 'a'.repeat(64),
  settings: { model: 'b'.repeat(64), sites: Array.from({ length: 48 }, (_, i) => `transformer.h.${i}.attn.c_attn`), rank: 16, alpha: 8, mode: 'joint', merge: 'never', seed: 7, lr: 1e-3, dropout: 0.05, rankPattern: { 'h.0.attn': 4 } }
} as const
const mutable = (): Parameters<typeof encodeInvite>[0] => structuredClone(INVITE) as unknown as Parameters<typeof encodeInvite>[0]

describe('an invite', () => {
  const word = encodeInvite(mutable())

  async function refusalOf (text: string): Promise<Error> {
    return await failureOf(Promise.resolve().then(() => decodeInvite(text)))
  }

  it('says what was put into it, and what train does where nothing was', () => {
    const { addresses, job, settings } = decodeInvite(word)
    expect({ addresses, job }).to.deep.equal({ addresses: INVITE.addresses, job: INVITE.job })
    expect(settings).to.deep.include(INVITE.settings)
    expect(settings).to.deep.include({ optimizer: 'adamw', interval: 1, members: 1 })
  })

  it('is one word that may be pasted anywhere, and short whatever the sites', () => {
    expect(word).to.match(/^u[\w-]+$/)
    expect(word.length).to.be.below(1000)
  })

  it('is taken with white space around it', () => {
    expect(decodeInvite(` ${word}\n`)).to.deep.equal(decodeInvite(word))
  })

  it('is refused with any one of its characters altered', async () => {
    for (let i = 0; i < word.length - 1; i++) {
      const altered = word.slice(0, i) + (word[i] === 'A' ? 'B' : 'A') + word.slice(i + 1)
      expect((await refusalOf(altered)).name, `character ${i}`).to.equal('InvalidInviteError')
    }
  })

  it('is refused wherever it was cut', async () => {
    for (let length = 0; length < word.length; length++) expect((await refusalOf(word.slice(0, length))).name, `${length} characters`).to.equal('InvalidInviteError')
    expect((await refusalOf(word.slice(0, -8))).message).to.match(/copy it once more/)
  })

  it('is refused with a character that is none of an invite\'s, which is named', async () => {
    expect((await refusalOf(`${word.slice(0, 20)} ${word.slice(20)}`)).message).to.match(/" " at 21/)
  })

  it('is refused where it says what is not known', async () => {
    for (const wrong of [{ addresses: [] }, { addresses: ['localhost:4001'] }, { job: 'mine' }, { settings: { ...INVITE.settings, out: '/etc' } }, { settings: { ...INVITE.settings, rank: -1 } }]) {
      expect((await refusalOf(encodeInvite({ ...mutable(), ...wrong }))).name).to.equal('InvalidInviteError')
    }
  })

  it('is refused where it unpacks to very much', async () => {
    const bomb = encodeInvite({ ...mutable(), addresses: ['x'.repeat(4 << 20)] })
    expect(bomb.length).to.be.below(10_000)
    expect((await refusalOf(bomb)).name).to.equal('InvalidInviteError')
  })
})
