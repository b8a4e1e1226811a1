import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { FIXTURES } from '../../support/fixtures.js'
import { temporaryFolder } from '../../support/temporary-folder.js'
import { errorName, runCli } from '../run-cli.js'

describe('colanet simulate', () => {
  const folder = temporaryFolder()

  it('fails with the error of the process that failed', async () => {
    const { code, stdout, stderr } = await runCli(['simulate', '--model', FIXTURES, '--trainers', '1', '--out', folder(), '--json'])
    expect(code, stderr).to.equal(2)
    expect(errorName(stdout)).to.equal('InvalidModelError')
    expect(await readdir(join(folder(), 'data'))).to.deep.equal(['licences.txt'])
    expect(await readdir(folder())).to.not.include('report.json')
  })
})
