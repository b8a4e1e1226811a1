import { meanOfParameters } from '../../../src/merge/mean-of-parameters.js'
import type { Weighted } from '../../../src/merge/weighted.js'
import type { HostedStep } from '../../../src/node/host/host.js'
import { standingIn } from '../../../src/node/trainer/standing.js'
import { AUXILIARY_KINDS, type AdapterTensors } from '../../../src/types.js'
import { compared } from '../compare.js'
import { exactForms, gatherBatch, learnerOf, RATE } from '../fitted-gradients.js'
import { FLOAT32, type Proposition } from '../proposition.js'
import { sharesOf, whole } from '../share.js'
import { sumOfAdapters } from '../sum-of-adapters.js'
import type { Trainer } from '../trainer.js'

/**
 * All members of a joint job meet the mean of their auxiliaries, and each adds to its own what a fit there moves. So the mean moves
 * by the mean of the moves, each of which is the gradient of back-propagation through the mean auxiliary.
 */
export const meanOfMoves: Proposition = {
  name: 'joint: the mean moves by the mean of the moves',
  source: 'arXiv 2404.13844, section 3: joint',
  ...FLOAT32,
  async * cases (scene) {
    for (const kind of AUXILIARY_KINDS) {
      const merge = scene.oneOf(['during', 'never'] as const)
      const job = scene.job({ kinds: [kind], mode: 'joint', merge })
      const members = [await scene.member(job), await scene.member(job), await scene.member(job, { sites: scene.someOf(job.sites) })]
      const shares = sharesOf(members)
      const before = sumOfAdapters(shares.map(({ adapter, shareAt }) => ({ adapter, weightAt: shareAt })))
      const met = whole({ spec: members[0].spec, adapter: before })
      const own: Weighted[] = []
      const moves: AdapterTensors[] = []
      for (const member of members) {
        const batch = await scene.batch([met])
        const gradients = await scene.backPropagation.parameterGradients(batch, [met], met)
        moves.push(new Map([...gradients].filter(([site]) => member.adapter.has(site))))
        own.push({ tokens: member.tokens, spec: member.spec, adapter: await moved(member, await member.step(batch, { wire: scene.oneOf(exactForms(member.spec)) })) })
      }
      const after = meanOfParameters(own)
      const expected = sumOfAdapters(moves.map((adapter, k) => ({ adapter, weightAt: site => -RATE * shares[k].shareAt(site) })))
      const actual = sumOfAdapters([{ adapter: after, weightAt: () => 1 }, { adapter: before, weightAt: () => -1 }])
      yield * compared(`${scene.title}, ${kind}, merged ${merge}`, actual, expected)
    }
  }
}

/** What a trainer contributes after a fit on its rows. */
async function moved (trainer: Trainer, { reply, data }: HostedStep): Promise<AdapterTensors> {
  const learner = learnerOf(trainer)
  const standing = await standingIn(trainer.joined, learner)
  await standing.meet(reply, new AbortController().signal)
  gatherBatch(learner, data)
  await learner.fit()
  const own = await standing.own()
  learner.dispose()
  return own
}
