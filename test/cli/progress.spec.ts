import { expect } from 'chai'
import { Progress } from '../../src/cli/progress.js'

/** A stream that remembers, and a clock that is set by hand. */
function fake (isTTY: boolean, columns = 120): { progress: Progress, lines: string[], at: (milliseconds: number) => void } {
  const lines: string[] = []
  let now = 0
  const stream = { isTTY, columns, write: (text: string) => lines.push(text) }
  return { progress: new Progress(stream, () => now), lines, at: milliseconds => { now = milliseconds } }
}

describe('progress on a terminal', () => {
  it('draws a bar with share, time, ETA and note over itself', () => {
    const { progress, lines, at } = fake(true)
    const meter = progress.start('train', { total: 40 })
    at(5_000)
    meter.update(10, 'loss 3.214  812 tokens/s')
    expect(lines.join('')).to.equal('train  [######------------------]  10/40  25 %  0:05  ETA 0:15  loss 3.214  812 tokens/s')
    at(10_000)
    meter.update(20)
    expect(lines.slice(1).join('')).to.equal('\r\u001b[2Ktrain  [############------------]  20/40  50 %  0:10  ETA 0:10')
  })

  it('draws ten times a second at most, and the last state always', () => {
    const { progress, lines, at } = fake(true)
    const meter = progress.start('train', { total: 1000 })
    for (let step = 1; step <= 1000; step++) {
      at(step)
      meter.update(step)
    }
    meter.end()
    const bars = lines.filter(line => line.startsWith('train'))
    expect(bars.length).to.be.within(10, 12)
    expect(bars.at(-1)).to.include('1000/1000  100 %')
    expect(lines.at(-1)).to.equal('\n')
  })

  it('keeps the bar below lines that are written meanwhile', () => {
    const { progress, lines } = fake(true)
    progress.start('train', { total: 2 }).update(1)
    lines.length = 0
    progress.line('a word')
    expect(lines[0]).to.equal('\r\u001b[2K')
    expect(lines[1]).to.equal('a word\n')
    expect(lines[2]).to.match(/^train/)
  })

  it('is never wider than the terminal', () => {
    const { progress, lines } = fake(true, 20)
    progress.start('train', { total: 2 }).update(1, 'loss 3.214')
    expect(lines[0]).to.have.length(19)
  })
})

describe('progress elsewhere', () => {
  it('writes a line every two seconds at most, and the last', () => {
    const { progress, lines, at } = fake(false)
    const meter = progress.start('train', { total: 10 })
    for (let step = 1; step <= 10; step++) {
      at(step * 500)
      meter.update(step, `loss ${step}`)
    }
    meter.end()
    meter.end()
    expect(lines).to.deep.equal([
      'train  1/10  10 %  0:01  ETA 0:05  loss 1\n',
      'train  5/10  50 %  0:03  ETA 0:03  loss 5\n',
      'train  9/10  90 %  0:05  ETA 0:01  loss 9\n',
      'train  10/10  100 %  0:05  loss 10\n'
    ])
  })

  it('does not repeat the last line', () => {
    const { progress, lines } = fake(false)
    const meter = progress.start('load', { total: 1 })
    meter.update(1)
    meter.end()
    meter.update(1)
    expect(lines).to.have.length(1)
  })

  it('promises from what was done in this run alone', () => {
    const { progress, lines, at } = fake(false)
    const meter = progress.start('train', { total: 100, from: 90 })
    at(60_000)
    meter.update(95)
    expect(lines[0]).to.include('ETA 1:00')
  })

  it('shows what has no known end, and what has nothing to do', () => {
    const { progress, lines, at } = fake(false)
    const open = progress.start('served')
    at(3_723_000)
    open.update(12, '812 tokens/s')
    progress.start('nothing', { total: 0 }).update(0)
    expect(lines).to.deep.equal(['served  12  1:02:03  812 tokens/s\n', 'nothing  0/0  100 %  0:00\n'])
  })
})
