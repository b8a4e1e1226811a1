import { InvalidTensorError } from '../../errors.js'
import { encodeAdaptation, isHalved, sharedInputs, tensorsOf } from '../../tensor/adaptation.js'
import { type Manifest, manifestOf, MAX_BLOB_BYTES } from '../../tensor/chunks.js'
import type { Round } from '../../tensor/remainders.js'
import type { AdaptationData, SiteData, WireForm } from '../../types.js'

/** Adaptation data of some sites as they cross the wire. */
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

/** Sites are joined up to so many bytes in float32. */
const PART_BYTES = 8 << 20

/**
 * Sites in their order but for those that have one x, which are together; joined while they are small, each part when it is asked for:
 * the first can be pulled before the last is there.
 *
 * @param round see `encodeAdaptation`
 * @throws {InvalidTensorError} at once, if a site has more than a blob may hold
 */
export function encodeParts (data: AdaptationData, wire: WireForm, allocate?: (bytes: number) => Uint8Array, round?: Round): Iterable<EncodedPart> {
  for (const [site, own] of data) {
    const size = sizeOf(own) * (isHalved(wire) ? 0.5 : 1)
    if (size > MAX_BLOB_BYTES) throw new InvalidTensorError(`adaptation data of ${site} have ${size} bytes, at most ${MAX_BLOB_BYTES} can be sent; use fewer tokens`)
  }
  return encoded(groups(data), wire, allocate, round)
}

function * encoded (parts: ReadonlyArray<Map<string, SiteData>>, wire: WireForm, allocate?: (bytes: number) => Uint8Array, round?: Round): Generator<EncodedPart> {
  for (const group of parts) {
    const bytes = encodeAdaptation(group, wire, allocate, round)
    yield { sites: [...group.keys()], bytes, manifest: manifestOf(bytes) }
  }
}

function groups (data: AdaptationData): Array<Map<string, SiteData>> {
  const parts: Array<Map<string, SiteData>> = []
  let bytes = Infinity
  for (const own of bySharedInput(data)) {
    const size = sizeTogether(own)
    if (bytes + size > PART_BYTES) {
      parts.push(new Map())
      bytes = 0
    }
    for (const [site, tensors] of own) parts[parts.length - 1].set(site, tensors)
    bytes += size
  }
  return parts
}

/** Sites that have one x are together, as far as a blob has room for them. */
function bySharedInput (data: AdaptationData): Array<Map<string, SiteData>> {
  const same = sharedInputs(data)
  const clusters: Array<Map<string, SiteData>> = []
  const latest = new Map<string, Map<string, SiteData>>() // by the first site of an x
  for (const [site, own] of data) {
    const first = same.get(site) ?? site
    const cluster = latest.get(first)
    if (cluster !== undefined && sizeTogether(new Map([...cluster, [site, own]])) <= MAX_BLOB_BYTES) {
      cluster.set(site, own)
      continue
    }
    const begun = new Map([[site, own]])
    clusters.push(begun)
    latest.set(first, begun)
  }
  return clusters
}

/** Of sites that have one x, if they have any, in float32. */
function sizeTogether (data: AdaptationData): number {
  const tensors = new Set([...data.values()].flatMap(own => 'x' in own ? tensorsOf(own).filter(tensor => tensor !== own.x) : tensorsOf(own)))
  const [first] = data.values()
  return [...tensors, ...('x' in first ? [first.x] : [])].reduce((sum, { values }) => sum + values.byteLength, 0)
}

/** In float32. */
function sizeOf (own: SiteData): number {
  return tensorsOf(own).reduce((sum, { values }) => sum + values.byteLength, 0)
}
