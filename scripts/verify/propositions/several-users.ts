import { AUXILIARY_KINDS, type AuxiliaryKind, type Batch } from '../../../src/types.js'
import { compared } from '../compare.js'
import { exactForms, fittedGradients } from '../fitted-gradients.js'
import { type Case, FLOAT32, type Proposition } from '../proposition.js'
import type { Scene } from '../scene.js'
import { type Share, sharesOf, whole } from '../share.js'
import { sumOfAdapters } from '../sum-of-adapters.js'
import type { Trainer } from '../trainer.js'

/** Kinds that the members of one job may have. */
const MIXTURES: ReadonlyArray<readonly AuxiliaryKind[]> = [...AUXILIARY_KINDS.map(kind => [kind]), ['low-rank', 'linear'], ['low-rank', 'mlp'], ['ia3', 'dora']]

/**
 * Users whose rows are one pass, as those are that fit the same sites, get what each would get alone: with its own auxiliary beside the base model, or with all of them
 * merged, where they can be, and beside it, where they cannot. Of those that all meet, each counts for its share p of the
 * tokens, but is fitted as a whole: its gradient is that of back-propagation divided by p.
 */
export const severalUsers: Proposition = {
  name: 'GL gradient equals back-propagation, several users in one pass',
  source: 'arXiv 2404.13844, Algorithm 1 and section 3',
  ...FLOAT32,
  async * cases (scene) {
    const sites = scene.sites(AUXILIARY_KINDS)
    const users: Trainer[] = []
    for (const kind of [...AUXILIARY_KINDS, scene.oneOf(AUXILIARY_KINDS)]) users.push(await scene.member(scene.job({ kinds: [kind], mode: 'alone', merge: 'never', sites })))
    yield * together(scene, 'each its own', users, users.map(user => [whole(user)]))

    for (const kinds of MIXTURES) {
      const merge = scene.oneOf(['during', 'never'] as const)
      const job = scene.job({ kinds, mode: 'collaboration', merge })
      const members = [await scene.member(job)]
      for (const kind of kinds) members.push(await scene.member(job, { kind, sites: scene.someOf(job.sites) }))
      const shares = sharesOf(members)
      yield * together(scene, `${kinds.join('~')}, merged ${merge}`, members, members.map(() => shares))
    }
  }
}

/** @param met of each trainer, what its rows meet */
async function * together (scene: Scene, title: string, trainers: readonly Trainer[], met: ReadonlyArray<readonly Share[]>): AsyncGenerator<Case> {
  const batches: Batch[] = []
  for (const auxiliaries of met) batches.push(await scene.batch(auxiliaries))
  const wires = trainers.map(({ spec }) => scene.oneOf(exactForms(spec)))
  const steps = await Promise.all(trainers.map(async (trainer, i) => await trainer.step(batches[i], { wire: wires[i] })))
  for (const [i, trainer] of trainers.entries()) {
    const alike = trainers.filter(other => sitesOf(other) === sitesOf(trainer)).length
    if (steps[i].reply.shared !== alike) throw new Error(`${steps[i].reply.shared} steps were one pass, where ${alike} are of the same sites`)
    const own = met[i].find(({ adapter }) => adapter === trainer.adapter)
    if (own === undefined) throw new Error('a trainer\'s rows do not meet its own auxiliary')
    const gradients = await scene.backPropagation.parameterGradients(batches[i], met[i], own)
    const expected = sumOfAdapters([{ adapter: gradients, weightAt: site => 1 / own.shareAt(site) }])
    yield * compared(`${scene.title}, ${title}, user ${i + 1} of ${trainers.length}, ${own.spec.kind}, ${wires[i]}`, await fittedGradients(trainer, [steps[i].data]), expected)
  }
}

function sitesOf ({ sites }: Trainer): string {
  return sites.map(({ name }) => name).join()
}
