import { AUXILIARY_KINDS } from '../../../src/types.js'
import { compared } from '../compare.js'
import { exactForms, fittedGradients } from '../fitted-gradients.js'
import { FLOAT32, type Proposition } from '../proposition.js'
import { whole } from '../share.js'

/** The gradient of a fit is α·J_wᵀ∇ĥ, which back-propagation through f and g side by side would give, whatever g is. */
export const unmerged: Proposition = {
  name: 'GL gradient equals back-propagation, unmerged',
  source: 'arXiv 2404.13844, Proposition 1 and equation 6',
  ...FLOAT32,
  async * cases (scene) {
    for (const kind of AUXILIARY_KINDS) {
      const trainer = await scene.member(scene.job({ kinds: [kind], mode: 'alone', merge: 'never' }))
      const own = whole(trainer)
      const batch = await scene.batch([own])
      const expected = await scene.backPropagation.parameterGradients(batch, [own], own)
      for (const wire of exactForms(trainer.spec)) {
        const { data } = await trainer.step(batch, { wire })
        yield * compared(`${scene.title}, ${kind}, ${wire}`, await fittedGradients(trainer, [data]), expected)
      }
    }
  }
}
