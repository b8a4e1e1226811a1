import type { Decoder } from './decoder.js'
import { advert, advertAnswer, announcement, manifest } from './decoders/announcements.js'
import { blobChunk, blobRequest } from './decoders/blobs.js'
import { checkpoint } from './decoders/checkpoint.js'
import { checkupAnswer, checkupRequest, invite } from './decoders/finding.js'
import { contributionReply, contributionRequest } from './decoders/records.js'
import { openReply, openRequest, stepReply, stepRequest } from './decoders/steps.js'
import { adaptations, adapter, batch, weightNorms } from './decoders/tensors.js'

/** All that a node reads which it did not write in the same process. */
export const DECODERS: readonly Decoder[] = [
  openRequest, openReply, stepRequest, stepReply, blobRequest, blobChunk, contributionRequest, contributionReply,
  advert, advertAnswer, announcement, manifest, checkupRequest, checkupAnswer, invite, batch, adapter, ...adaptations, weightNorms, checkpoint
]
