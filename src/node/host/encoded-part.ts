import { encodeAdaptation } from '../../tensor/adaptation.js'
import { type Manifest, manifestOf } from '../../tensor/chunks.js'
import type { AdaptationData, SiteData, WireDtype } from '../../types.js'

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

/** Neighbouring sites are joined up to so many bytes of x and ∇ĥ in float32. */
const PART_BYTES = 8 << 20

/** Sites in their order, joined while they are small, each when it is asked for: the first can be pulled before the last is there. */
export function * encodeParts (data: AdaptationData, wire: WireDtype, allocate?: (bytes: number) => Uint8Array): Generator<EncodedPart> {
  for (const group of groups(data)) {
    const bytes = encodeAdaptation(group, wire, allocate)
    yield { sites: [...group.keys()], bytes, manifest: manifestOf(bytes) }
  }
}

function groups (data: AdaptationData): Array<Map<string, SiteData>> {
  const parts: Array<Map<string, SiteData>> = []
  let bytes = Infinity
  for (const [site, own] of data) {
    const size = own.x.values.byteLength + own.gradient.values.byteLength
    if (bytes + size > PART_BYTES) {
      parts.push(new Map())
      bytes = 0
    }
    parts[parts.length - 1].set(site, own)
    bytes += size
  }
  return parts
}
