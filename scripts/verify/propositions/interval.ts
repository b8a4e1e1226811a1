import { AUXILIARY_KINDS, type AdaptationData, type AdapterTensors } from '../../../src/types.js'
import { compared } from '../compare.js'
import { exactForms, fittedGradients } from '../fitted-gradients.js'
import { FLOAT32, type Proposition } from '../proposition.js'
import { whole } from '../share.js'
import { sumOfAdapters } from '../sum-of-adapters.js'

const INTERVALS = [1, 8]

/** Within an interval w stands still, and the gradients of its batches are added up, which is gradient accumulation. */
export const interval: Proposition = {
  name: 'GL gradient equals back-propagation, summed over an interval',
  source: 'arXiv 2404.13844, Algorithm 1',
  ...FLOAT32,
  async * cases (scene) {
    for (const kind of AUXILIARY_KINDS) {
      for (const interval of INTERVALS) {
        const merge = scene.oneOf(['during', 'never'] as const)
        const trainer = await scene.member(scene.job({ kinds: [kind], mode: 'alone', merge, interval }))
        const own = whole(trainer)
        const wire = scene.oneOf(exactForms(trainer.spec))
        const gathered: AdaptationData[] = []
        const accumulated: AdapterTensors[] = []
        while (gathered.length < interval) {
          const batch = await scene.batch([own])
          gathered.push((await trainer.step(batch, { wire })).data)
          accumulated.push(await scene.backPropagation.parameterGradients(batch, [own], own))
        }
        const expected = sumOfAdapters(accumulated.map(adapter => ({ adapter, weightAt: () => 1 })))
        yield * compared(`${scene.title}, ${kind}, merged ${merge}, ${wire}, interval ${interval}`, await fittedGradients(trainer, gathered), expected)
      }
    }
  }
}
