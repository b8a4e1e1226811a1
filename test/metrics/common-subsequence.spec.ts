import { expect } from 'chai'
import { commonSubsequence } from '../../src/metrics/common-subsequence.js'

/** All sequences of a, b and c of up to so many letters. */
function sequences (length: number): string[] {
  if (length === 0) return ['']
  const shorter = sequences(length - 1)
  return [...shorter, ...shorter.filter(each => each.length === length - 1).flatMap(each => ['a', 'b', 'c'].map(letter => each + letter))]
}

function isWithin (part: string, whole: string): boolean {
  let at = 0
  for (const letter of whole) {
    if (letter === part[at]) at++
  }
  return at === part.length
}

describe('metrics: the longest common subsequence', () => {
  it('is the longest of all sequences that both hold', () => {
    const all = sequences(4)
    const held = new Map(all.map(each => [each, all.filter(part => isWithin(part, each))]))
    for (const a of all) {
      for (const b of all) {
        const expected = Math.max(...held.get(a)!.filter(part => isWithin(part, b)).map(part => part.length))
        expect(commonSubsequence(a.split(''), b.split('')), `${a} and ${b}`).to.equal(expected)
      }
    }
  })

  it('of a text and itself is all of it, also where something was put between', () => {
    const text = Array.from({ length: 300 }, (_, i) => `word${i * i % 17}`)
    expect(commonSubsequence(text, text)).to.equal(300)
    expect(commonSubsequence(text, text.flatMap(word => [word, 'and']))).to.equal(300)
  })

  it('compares whole words', () => {
    expect(commonSubsequence(['ab', 'c'], ['a', 'bc'])).to.equal(0)
  })
})
