import { InvalidTensorError } from '../../errors.js'
import { encodeAdaptation, tensorsOf } from '../../tensor/adaptation.js'
import { type Manifest, manifestOf, MAX_BLOB_BYTES } from '../../tensor/chunks.js'
import type { AdaptationData, SiteData, WireForm } from '../../types.js'

/** Adaptation data of neighbouring sites as they cross the wire. */
export interface EncodedPart {
  readonly sites: readonly string[]
  /** Those of another thread are shared with it. */
  readonly bytes: Uint8Array
  readonly manifest: Manifest
  /** To be called when nobody needs the bytes any more: what comes next may be written there. */
  readonly release?: () => void
}

/** In the order of the sites. */
export type EncodedParts = Iterable<EncodedPart> | AsyncIterable<EncodedPart>

/** Neighbouring sites are joined up to so many bytes in float32. */
const PART_BYTES = 8 << 20

/**
 * Sites in their order, joined while they are small, each when it is asked for: the first can be pulled before the last is there.
 *
 * @throws {InvalidTensorError} at once, if a site has more than a blob may hold
 */
export function encodeParts (data: AdaptationData, wire: WireForm, allocate?: (bytes: number) => Uint8Array): Iterable<EncodedPart> {
  for (const [site, own] of data) {
    const size = sizeOf(own) * (wire === 'bf16' ? 0.5 : 1)
    if (size > MAX_BLOB_BYTES) throw new InvalidTensorError(`adaptation data of ${site} have ${size} bytes, at most ${MAX_BLOB_BYTES} can be sent; use fewer tokens`)
  }
  return encoded(groups(data), wire, allocate)
}

function * encoded (parts: ReadonlyArray<Map<string, SiteData>>, wire: WireForm, allocate?: (bytes: number) => Uint8Array): Generator<EncodedPart> {
  for (const group of parts) {
    const bytes = encodeAdaptation(group, wire, allocate)
    yield { sites: [...group.keys()], bytes, manifest: manifestOf(bytes) }
  }
}

function groups (data: AdaptationData): Array<Map<string, SiteData>> {
  const parts: Array<Map<string, SiteData>> = []
  let bytes = Infinity
  for (const [site, own] of data) {
    const size = sizeOf(own)
    if (bytes + size > PART_BYTES) {
      parts.push(new Map())
      bytes = 0
    }
    parts[parts.length - 1].set(site, own)
    bytes += size
  }
  return parts
}

/** In float32. */
function sizeOf (own: SiteData): number {
  return tensorsOf(own).reduce((sum, { values }) => sum + values.byteLength, 0)
}
