import { expect } from 'chai'
import { selectSites } from '../../src/model/sites.js'

const NAMES = ['h.0.attn.c_attn', 'h.0.attn.c_proj', 'h.0.mlp.c_proj', 'h.10.attn.c_attn', 'h.10.mlp.c_proj', 'lm_head']
const MODEL = { sites: NAMES.map(name => ({ name, inFeatures: 1, outFeatures: 1 })), output: 'lm_head' }

function selected (...names: string[]): string[] {
  return selectSites(MODEL, names).map(({ name }) => name)
}

describe('sites', () => {
  it('are selected by their full names, and by what these end with after a dot', () => {
    expect(selected('h.0.mlp.c_proj')).to.deep.equal(['h.0.mlp.c_proj'])
    expect(selected('c_attn')).to.deep.equal(['h.0.attn.c_attn', 'h.10.attn.c_attn'])
    expect(selected('attn.c_proj')).to.deep.equal(['h.0.attn.c_proj'])
    expect(selected('lm_head')).to.deep.equal(['lm_head'])
  })

  it('are selected by a regular expression that matches the whole name', () => {
    expect(selected('h\\.\\d\\..*c_proj')).to.deep.equal(['h.0.attn.c_proj', 'h.0.mlp.c_proj'])
    expect(selected('.*attn|lm_head')).to.deep.equal(['h.0.attn.c_attn', 'h.10.attn.c_attn', 'lm_head'])
  })

  it('are all but the output layer with all-linear', () => {
    expect(selected('all-linear')).to.deep.equal(NAMES.slice(0, -1))
    expect(selected('all-linear', 'lm_head')).to.deep.equal(NAMES)
  })

  it('are no embeddings with all-linear, but by their names', () => {
    const model = { ...MODEL, sites: [{ name: 'wte', inFeatures: 1, outFeatures: 1, embedding: true }, ...MODEL.sites] }
    const names = (...wanted: string[]): string[] => selectSites(model, wanted).map(({ name }) => name)
    expect(names('all-linear')).to.deep.equal(NAMES.slice(0, -1))
    for (const name of ['wte', 'w[t]e']) expect(names(name)).to.deep.equal(['wte'])
  })

  it('come once each, in the order of the network', () => {
    expect(selected('c_proj', 'c_attn', 'h.0.attn.c_attn', '.*c_proj')).to.deep.equal(NAMES.slice(0, -1))
    expect(selected()).to.deep.equal([])
  })

  it('are refused where a name selects none, and told what there is', () => {
    for (const name of ['c_fc', 'attn', '_attn', 'h.0', 'h\\.2\\..*', 'c_attn.', '(']) {
      expect(() => selected('c_attn', name), name).to.throw(JSON.stringify(name)).with.property('name', 'UnknownSiteError')
    }
    expect(() => selected('c_fc')).to.throw('c_attn, c_proj, lm_head, full names such as h.0.attn.c_attn, and all-linear')
  })
})
