import { expect } from 'chai'
import { SharedMemory } from '../../src/node/shared-memory.js'

const MIB = 1 << 20

describe('memory that threads share', () => {
  let memory: SharedMemory

  beforeEach(() => { memory = new SharedMemory() })

  const take = (bytes: number): SharedArrayBuffer => memory.take(bytes).buffer as SharedArrayBuffer

  /** Given back without having been taken: nothing is written to it, so that the system has not to find it. */
  function giveBack (bytes: number): SharedArrayBuffer {
    const given = new SharedArrayBuffer(bytes)
    memory.giveBack(given)
    return given
  }

  for (const bytes of [0, 1, 4096, 100_001]) {
    it(`is shared, and ${bytes} bytes long when so many are asked for`, () => {
      const taken = memory.take(bytes)
      expect(taken.buffer).to.be.instanceOf(SharedArrayBuffer)
      expect([taken.byteOffset, taken.byteLength, taken.buffer.byteLength]).to.deep.equal([0, bytes, bytes])
    })
  }

  it('is given again when it was given back', () => {
    const first = take(100)
    memory.giveBack(first)
    expect(take(100)).to.equal(first)
  })

  it('is not given again for another size', () => {
    const first = take(100)
    memory.giveBack(first)
    for (const bytes of [0, 50, 99, 101, 200]) expect(memory.take(bytes).byteLength).to.equal(bytes)
    expect(take(100)).to.equal(first)
  })

  it('is not given to two who have not given it back', () => {
    const [first, second] = [take(100), take(100)]
    expect(second).to.not.equal(first)
    memory.giveBack(first)
    const again = [take(100), take(100)]
    expect(new Set([...again, second]).size).to.equal(3)
  })

  it('is given again as often as it was given back', () => {
    const all = [1, 2, 3].map(() => take(100))
    for (const one of all) memory.giveBack(one)
    expect([1, 2, 3].map(() => take(100))).to.have.members(all)
  })

  it('is kept up to 512 MiB', () => {
    const all = [200, 200, 112].map(size => giveBack(size * MIB))
    expect([take(200 * MIB), take(200 * MIB), take(112 * MIB)]).to.have.members(all)
  })

  it('is forgotten when more than 512 MiB would be kept, but for what came last', () => {
    const early = [200, 200].map(size => giveBack(size * MIB))
    const last = giveBack(112 * MIB + 1)
    expect(take(112 * MIB + 1)).to.equal(last)
    expect(early).to.not.include(take(200 * MIB))
  })

  it('is not counted while it is taken', () => {
    const small = giveBack(100)
    for (let i = 0; i < 3; i++) {
      memory.giveBack(take(300 * MIB))
      take(300 * MIB)
    }
    giveBack(300 * MIB)
    expect(take(100)).to.equal(small)
  })

  it('counts as kept no less when what is taken is new', () => {
    const small = giveBack(100)
    take(300 * MIB)
    giveBack(300 * MIB)
    giveBack(300 * MIB)
    expect(take(100)).to.not.equal(small)
  })

  it('is kept anew after it was forgotten', () => {
    giveBack(300 * MIB)
    giveBack(300 * MIB)
    const small = giveBack(100)
    const large = giveBack(200 * MIB)
    expect(take(200 * MIB)).to.equal(large)
    expect(take(100)).to.equal(small)
  })
})
