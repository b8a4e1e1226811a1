import { expect } from 'chai'
import { newSecret, SECRET_BYTES, secretNumbers } from '../../src/tensor/secret-stream.js'

const SECRET = new Uint8Array(SECRET_BYTES).fill(7)
/** More than are made at once. */
const MANY = 20_000

function take (count: number, ...from: Parameters<typeof secretNumbers>): number[] {
  const next = secretNumbers(...from)
  return Array.from({ length: count }, next)
}

describe('numbers from a secret', () => {
  it('are the same from the same secret, purpose and index, and others from any other', () => {
    const numbers = take(MANY, SECRET, 'noise', 3)
    expect(take(MANY, SECRET, 'noise', 3)).to.deep.equal(numbers)
    const others = [take(MANY, SECRET, 'rows', 3), take(MANY, SECRET, 'noise', 4), take(MANY, SECRET.with(31, 8), 'noise', 3)]
    expect(new Set([numbers, ...others].flat()).size).to.equal(4 * MANY)
  })

  it('are spread evenly from 0 to below 1', () => {
    const counts = new Array<number>(10).fill(0)
    for (const number of take(MANY, SECRET, 'rows', 0)) counts[Math.floor(number * 10)]++
    expect(counts).to.have.lengthOf(10)
    for (const count of counts) expect(count).to.be.within(1787, 2213) // 2000 ± 5 standard deviations
  })

  it('are kept from version to version', () => {
    // made with openssl enc -aes-256-ctr; whoever changes it breaks the resuming of private runs
    expect(take(3, SECRET, 'noise', 3)).to.deep.equal([0.2609172773897074, 0.33487013602603355, 0.8814269563415503])
  })

  it('are of a secret that is new each time', () => {
    expect(newSecret()).to.have.lengthOf(SECRET_BYTES)
    expect(Buffer.from(newSecret()).equals(newSecret())).to.equal(false)
  })
})
