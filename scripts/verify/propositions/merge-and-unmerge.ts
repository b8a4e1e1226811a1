import { isMergeableKind } from '../../../src/auxiliary-spec.js'
import { AUXILIARY_KINDS, type Batch } from '../../../src/types.js'
import type { HostedStep } from '../../../src/node/host/host.js'
import type { Proposition } from '../proposition.js'
import type { Trainer } from '../trainer.js'

/** After which nothing of what was merged is left: not of one job, nor of several in turn. */
export const mergeAndUnmerge: Proposition = {
  name: 'merge then unmerge gives θ to the bit',
  source: 'arXiv 2404.13844, section 3: parameter merging',
  bound: 0,
  reason: 'θ + αΔW is built from the pristine θ, nothing is subtracted again; the error is the share of numbers of a pass that differ in any bit',
  async * cases (scene) {
    for (const kind of AUXILIARY_KINDS.filter(isMergeableKind)) {
      const sites = scene.sites([kind])
      const [job, another] = [1, 2].map(() => scene.job({ kinds: [kind], mode: 'collaboration', merge: 'during', sites }))
      const [trainer, , other] = [await scene.member(job), await scene.member(job), await scene.member(another)]
      const batch = await scene.batch([])
      const pristine = await bitsOf(trainer, batch, false)
      const merged = await bitsOf(trainer, batch, true)
      if (different(merged, pristine) === 0) throw new Error(`${scene.title}, ${kind}: merging changed nothing of a pass`)
      yield { name: `${scene.title}, ${kind}, after one`, error: different(await bitsOf(trainer, batch, false), pristine) }
      for (const turn of [other, trainer, other]) await turn.step(batch)
      yield { name: `${scene.title}, ${kind}, after several`, error: different(await bitsOf(trainer, batch, false), pristine) }
      yield { name: `${scene.title}, ${kind}, merged again`, error: different(await bitsOf(trainer, batch, true), merged) }
    }
  }
}

/** All numbers that a pass gives: the loss, and each site's x and ∇ĥ. */
async function bitsOf (trainer: Trainer, batch: Batch, adapted: boolean): Promise<Uint32Array> {
  const { reply: { loss }, data }: HostedStep = await trainer.step(batch, { adapted })
  const tensors = [...data.values()].flatMap(own => 'x' in own ? [own.x.values, own.gradient.values] : [])
  return Uint32Array.from([...new Uint32Array(Float64Array.of(loss).buffer), ...tensors.flatMap(({ buffer, byteOffset, length }) => [...new Uint32Array(buffer, byteOffset, length)])])
}

/** The share of them that differ. */
function different (actual: Uint32Array, expected: Uint32Array): number {
  if (actual.length !== expected.length) return 1
  return actual.filter((bits, i) => bits !== expected[i]).length / expected.length
}
