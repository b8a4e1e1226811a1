import { expect } from 'chai'
import { sharesOfJobs, trafficLines } from '../../src/cli/traffic-lines.js'

const [DOCS, NEWS] = ['3f2a9c41', '0b'].map(digits => digits.padEnd(64, '7'))
const NAMES = new Map([[DOCS, 'our-docs']])

const nameOf = (job: string): string | undefined => NAMES.get(job)

describe('cli: what went over the wire', () => {
  it('is said in all both ways, and by what it was for, of which job and with whom, most first', () => {
    expect(trafficLines({
      bytes: { advert: { sent: 10, received: 20 }, adaptation: { sent: 0, received: 30_000_000 }, step: { sent: 1_500_000, received: 400 } },
      bytesByJob: { [NEWS]: { sent: 500_000, received: 0 }, [DOCS]: { sent: 1_000_000, received: 30_000_400 }, none: { sent: 10, received: 20 } },
      bytesByPeer: { 'peer-a': { sent: 10, received: 30_000_420 }, 'peer-b': { sent: 1_500_000, received: 0 } }
    }, nameOf).split('\n')).to.deep.equal([
      'wire: 1.5 MB sent, 30.0 MB received: adaptation 30.0 MB, step 1.5 MB, advert 30 B',
      '  by job: our-docs (3f2a9c41) 31.0 MB, 0b777777 500.0 kB, no job 30 B',
      '  by peer: peer-a 30.0 MB, peer-b 1.5 MB'
    ])
  })

  it('is nothing where nothing went', () => {
    expect(trafficLines({ bytes: {}, bytesByJob: {}, bytesByPeer: {} }, nameOf)).to.equal('wire: 0 B sent, 0 B received')
  })

  it('is told apart for eight, those with the most; the rest is one, with what was summed up before', () => {
    const jobs = Array.from({ length: 10 }, (_, i) => [`${i}`.repeat(64), { sent: i, received: 0 }] as const)
    expect(sharesOfJobs({ ...Object.fromEntries(jobs), others: { sent: 100, received: 7 } }, () => undefined))
      .to.equal('99999999 9 B, 88888888 8 B, 77777777 7 B, 66666666 6 B, 55555555 5 B, 44444444 4 B, 33333333 3 B, 22222222 2 B, others 108 B')
  })

  it('shows of a name what cannot move the cursor, and not all of a long one', () => {
    const name = `\u001b[2Jü\u009b\u202e${'n'.repeat(100)}`
    expect(sharesOfJobs({ [DOCS]: { sent: 1, received: 0 } }, () => name)).to.equal(`\ufffd[2Jü\ufffd\ufffd${'n'.repeat(33)} (3f2a9c41) 1 B`)
  })
})
