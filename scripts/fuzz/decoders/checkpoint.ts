import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointFile } from '../../../src/node/trainer/checkpoint.js'
import { type AdapterTensors, type AuxiliarySpec, type Site } from '../../../src/types.js'
import { type Decoder, InvalidAcceptedError } from '../decoder.js'
import { below, randomFloats } from '../random.js'
import { checkTensors, randomAdapter } from './tensors.js'

const SITES: readonly Site[] = [{ name: 'h.0.c_attn', inFeatures: 3, outFeatures: 2 }, { name: 'h.1.c_attn', inFeatures: 2, outFeatures: 4 }]
const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 1 }

/** A run's state as it lies on disk, where anything may have happened to it. */
export const checkpoint: Decoder = {
  name: 'checkpoint',
  sample: async ({ random, folder }) => {
    const file = new CheckpointFile(join(folder, 'checkpoint.safetensors'), 'this run')
    const adapter = (): AdapterTensors => randomAdapter(SPEC, SITES, random)
    await file.save({
      progress: { step: below(9, random), tokens: 9, losses: [random(), random()], milliseconds: 1, sharedSteps: 0, baseLoss: null, stale: { refused: 0, decayed: 0 } },
      adapter: adapter(),
      learner: new Map([['m', randomFloats([2, 3], random)]]),
      older: [{ fits: 1, tokens: 5, adapter: adapter() }]
    })
    return {
      form: 'safetensors',
      bytes: await readFile(file.path),
      decode: async bytes => {
        await writeFile(file.path, bytes)
        const loaded = await file.load()
        if (loaded === undefined) return // another run's
        const floats = [loaded.adapter, ...loaded.older.map(({ adapter }) => adapter)].flatMap(each => [...each.values()].flatMap(own => [...own.values()]))
        checkTensors('checkpoint', [...floats, ...loaded.learner.values()])
        if (!floats.every(({ values }) => values instanceof Float32Array)) throw new InvalidAcceptedError('a checkpoint with auxiliaries of integers')
      }
    }
  }
}
