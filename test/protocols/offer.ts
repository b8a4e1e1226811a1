import type { Offer } from '../../src/protocols/advert/index.js'

/** What a host of a small model that there is nowhere has on offer. */
export const OFFER: Offer = {
  model: 'c'.repeat(64),
  name: 'lent',
  task: 'CAUSAL_LM',
  labels: [],
  sites: [{ name: 'h.0.attn', inFeatures: 3, outFeatures: 9 }],
  output: 'lm_head',
  defaultSites: ['h.0.attn'],
  fanInFanOut: true,
  positions: 32,
  vocabSize: 100,
  limits: { rows: 8, tokens: 256, rank: 16 },
  tokensPerSecond: 0,
  engine: 'cpu',
  files: {}
}
