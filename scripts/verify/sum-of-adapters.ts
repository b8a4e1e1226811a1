import type { AdapterTensors, FloatTensor } from '../../src/types.js'

/** Σ weight·adapter, parameter by parameter, in float64 and rounded once. An adapter that lacks a site adds nothing to it. */
export function sumOfAdapters (terms: ReadonlyArray<{ readonly adapter: AdapterTensors, readonly weightAt: (site: string) => number }>): AdapterTensors {
  const sites = [...new Set(terms.flatMap(({ adapter }) => [...adapter.keys()]))]
  return new Map(sites.map(site => {
    const weighted = terms.flatMap(({ adapter, weightAt }) => {
      const own = adapter.get(site)
      return own === undefined ? [] : [{ own, weight: weightAt(site) }]
    })
    return [site, new Map([...weighted[0].own].map(([name, { shape, values }]): [string, FloatTensor] => {
      const sum = new Float64Array(values.length)
      for (const { own, weight } of weighted) {
        const added = own.get(name)?.values ?? []
        for (let i = 0; i < sum.length; i++) sum[i] += weight * added[i]
      }
      return [name, { shape, values: Float32Array.from(sum) }]
    }))]
  }))
}
