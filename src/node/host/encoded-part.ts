import { encodeAdaptation } from '../../tensor/adaptation.js'
import { type Manifest, manifestOf } from '../../tensor/chunks.js'
import type { AdaptationData, SiteData, WireDtype } from '../../types.js'

/** Adaptation data of neighbouring sites as they cross the wire. */
export interface EncodedPart {
  readonly sites: readonly string[]
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly manifest: Manifest
}

/** Neighbouring sites are joined up to so many bytes of x and ∇ĥ in float32. */
const PART_BYTES = 8 << 20

/** Sites in their order, joined while they are small, so that the first can be pulled before the last is there. */
export function encodeParts (data: AdaptationData, wire: WireDtype): EncodedPart[] {
  return groups(data).map(group => {
    const bytes = encodeAdaptation(group, wire)
    return { sites: [...group.keys()], bytes, manifest: manifestOf(bytes) }
  })
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
