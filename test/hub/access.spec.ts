import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { hubAccess } from '../../src/hub/access.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'

describe('hubAccess', () => {
  const home = temporaryFolder()

  it('is the public hub without a token where nothing is said', async () => {
    expect(await hubAccess({}, home())).to.deep.equal({ endpoint: 'https://huggingface.co' })
    expect(await hubAccess({ HF_TOKEN: ' ', HF_ENDPOINT: '' }, home())).to.deep.equal({ endpoint: 'https://huggingface.co' })
  })

  it('takes the token as huggingface_hub does: from the variables, then from the file of a login', async () => {
    const login = join(home(), '.cache', 'huggingface')
    await mkdir(login, { recursive: true })
    await writeFile(join(login, 'token'), 'hf_of-login\n')
    const [elsewhere, other] = [join(home(), 'elsewhere'), join(home(), 'other')]
    await mkdir(elsewhere)
    await writeFile(join(elsewhere, 'token'), 'hf_elsewhere')
    await writeFile(other, 'hf_other')
    for (const [env, value, source] of [
      [{}, 'hf_of-login', join(login, 'token')],
      [{ HF_HOME: elsewhere }, 'hf_elsewhere', join(elsewhere, 'token')],
      [{ HF_HOME: elsewhere, HF_TOKEN_PATH: other }, 'hf_other', other],
      [{ HUGGING_FACE_HUB_TOKEN: 'hf_old', HF_HOME: elsewhere }, 'hf_old', 'HUGGING_FACE_HUB_TOKEN'],
      [{ HUGGING_FACE_HUB_TOKEN: 'hf_old', HF_TOKEN: 'hf_new\n' }, 'hf_new', 'HF_TOKEN']
    ] as const) {
      expect((await hubAccess(env, home())).token).to.deep.equal({ value, source })
    }
    expect(await hubAccess({ XDG_CACHE_HOME: elsewhere }, home())).to.not.have.property('token')
  })

  it('takes another endpoint, without the slash at its end', async () => {
    for (const [given, taken] of [['https://hub.example/', 'https://hub.example'], ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'], ['https://example.org/hf//', 'https://example.org/hf']]) {
      expect((await hubAccess({ HF_ENDPOINT: given }, home())).endpoint).to.equal(taken)
    }
  })

  it('refuses an endpoint that is none, and a token that no header can have, without showing it', async () => {
    for (const HF_ENDPOINT of ['hub.example', 'ftp://hub.example', 'https://user:secret@hub.example', 'https://hub.example?a=b', 'file:///etc']) {
      const error = await failureOf(hubAccess({ HF_ENDPOINT }, home()))
      expect(error.name, HF_ENDPOINT).to.equal('InvalidOptionError')
      expect(error.message).to.not.include('secret')
    }
    const error = await failureOf(hubAccess({ HF_TOKEN: 'hf_secret secret' }, home()))
    expect(error.name).to.equal('InvalidOptionError')
    expect(error.message).to.include('HF_TOKEN').and.not.include('secret')
  })
})
