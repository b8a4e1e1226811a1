import { expect } from 'chai'
import { dequantize, quantize } from '../../src/tensor/quantize.js'
import { decodeRounded, encodeRounded } from '../../src/tensor/rounded-message.js'
import { joinEncoded, type SafetensorsDtype } from '../../src/tensor/safetensors.js'
import type { FloatTensor } from '../../src/types.js'
import { uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'

type Entry = readonly [name: string, dtype: SafetensorsDtype, shape: readonly number[], bytes: Uint8Array]

function message (entries: readonly Entry[]): Uint8Array {
  return joinEncoded(entries.map(([name, dtype, shape, bytes]) => ({ name, dtype, shape, bytes })))
}

describe('tensor: messages in 8 bits', () => {
  it('arrive as they were rounded', () => {
    const random = seeded(1)
    const tensors = new Map(([[1], [3, 5], [64], [2, 65], [0]] as const).map((shape, i): [string, FloatTensor] => [`t${i}`, uniform(shape, random)]))
    const bytes = encodeRounded(tensors, (_, values) => quantize('int8', values))
    const expected = [...tensors].map(([name, { shape, values }]) => [name, { shape, values: dequantize('int8', quantize('int8', values), values.length) }])
    expect([...decodeRounded(bytes)]).to.deep.equal(expected)
  })

  it('take about a quarter of float32', () => {
    const values = new Float32Array(64 * 1000).fill(1)
    expect(encodeRounded(new Map([['t', { shape: [values.length], values }]]), (_, own) => quantize('int8', own)).byteLength / values.byteLength).to.be.below(0.27)
  })

  it('are refused where codes have not their scales', () => {
    const scales = (count: number): Uint8Array => new Uint8Array(4 * count)
    const good: readonly Entry[] = [['scales.t', 'F32', [2], scales(2)], ['t', 'I8', [70], new Uint8Array(70)]]
    expect(decodeRounded(message(good)).size).to.equal(1)
    const wrong: ReadonlyArray<readonly Entry[]> = [
      [good[1]],
      [good[0]],
      [['scales.t', 'F32', [1], scales(1)], good[1]],
      [['scales.t', 'F32', [3], scales(3)], good[1]],
      [['scales.t', 'F32', [2, 1], scales(2)], good[1]],
      [['scales.t', 'I32', [2], scales(2)], good[1]],
      [['scales.s', 'F32', [2], scales(2)], good[1]],
      [good[0], ['t', 'U8', [70], new Uint8Array(70)]],
      [...good, ['more', 'F32', [1], scales(1)]]
    ]
    for (const [i, entries] of wrong.entries()) expect(() => decodeRounded(message(entries)), String(i)).to.throw().with.property('name', 'InvalidTensorError')
  })
})
