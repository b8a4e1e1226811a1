import { realpath, stat } from 'node:fs/promises'
import { dirname, relative, sep } from 'node:path'
import { type HalfDtype, narrow, readStored, type StoredTensor } from '../../tensor/stored.js'
import { aligned, copyPath, padded, writeCopy } from '../../tensor/weight-cache.js'
import type { Weights } from '../engine.js'
import type { ExternalWeight } from './compile.js'

export interface ExternalWeights {
  /** To which their locations are relative. */
  readonly folder: string
  readonly weights: ReadonlyMap<string, ExternalWeight>
}

/**
 * Weights as ONNX Runtime maps them into memory, those that are rounded in 16 bits, those that are quantised as codes, all
 * others as float32: where they lie if they are that there, else from a copy in the cache folder, which is made once.
 */
export async function externalWeights (weights: Weights): Promise<ExternalWeights> {
  const others = new Map([...weights].filter(([, stored]) => stored.quantized === undefined && (stored.bytes === 0 || stored.dtype !== keptAs(stored))))
  const inFiles = others.size === 0 ? weights : new Map([...weights, ...await converted(others)])
  const paths = new Map<string, string>()
  for (const { path } of inFiles.values()) {
    if (!paths.has(path)) paths.set(path, await realpath(path)) // the Hub's cache is made of links
  }
  const folder = commonFolder([...paths.values()])
  return {
    folder,
    weights: new Map([...inFiles].map(([name, { path, offset, bytes, shape, rounded, quantized }]) => {
      const location = relative(folder, paths.get(path) ?? path)
      return [name, {
        location,
        offset,
        length: bytes,
        shape,
        ...(rounded && { kept: HALVES[rounded] }),
        ...(quantized && { quantized: { kind: quantized.kind, scales: { location, offset: quantized.scales.offset, length: quantized.scales.bytes } } })
      }]
    }))
  }
}

const HALVES = { F16: 'float16', BF16: 'bfloat16' } as const

function keptAs ({ rounded }: StoredTensor): 'F32' | HalfDtype {
  return rounded ?? 'F32'
}

function commonFolder (paths: readonly string[]): string {
  if (paths.length === 0) return sep
  const [first, ...others] = paths.map(path => dirname(path).split(sep))
  const shared = others.reduce((common, parts) => common.filter((part, i) => common.slice(0, i + 1).join(sep) === parts.slice(0, i + 1).join(sep) && part === parts[i]), first)
  return shared.join(sep) || sep
}

/** One file with all of them as they are kept, one after the other. */
async function converted (weights: Weights): Promise<Weights> {
  const path = await copyPath(weights)
  const places = new Map<string, StoredTensor>()
  let end = 0
  for (const [name, stored] of weights) {
    const dtype = keptAs(stored)
    const bytes = (dtype === 'F32' ? 4 : 2) * stored.shape.reduce((product, size) => product * size, 1)
    places.set(name, { ...stored, path, offset: end, bytes, dtype })
    end += aligned(bytes)
  }
  const { size } = await stat(path).catch(() => ({ size: -1 }))
  if (size !== end) await writeCopy(path, asKept(weights))
  return places
}

async function * asKept (weights: Weights): AsyncGenerator<Uint8Array> {
  for (const [name, stored] of weights) {
    const { values } = await readStored(name, stored)
    const kept = stored.rounded === undefined ? values : narrow(values, stored.rounded)
    yield padded(new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength))
  }
}
