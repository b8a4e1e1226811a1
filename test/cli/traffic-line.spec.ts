import { expect } from 'chai'
import { trafficLine } from '../../src/cli/traffic-line.js'

describe('cli: what went over the wire', () => {
  it('is said in all both ways, and by what it was for, most first', () => {
    expect(trafficLine({ advert: { sent: 10, received: 20 }, adaptation: { sent: 0, received: 30_000_000 }, step: { sent: 1_500_000, received: 400 } }))
      .to.equal('1.5 MB sent, 30.0 MB received: adaptation 30.0 MB, step 1.5 MB, advert 30 B')
  })

  it('is nothing where nothing went', () => {
    expect(trafficLine({})).to.equal('0 B sent, 0 B received')
  })
})
