import { isMergeableKind } from '../../../src/auxiliary-spec.js'
import { AUXILIARY_KINDS, MODES } from '../../../src/types.js'
import { compared } from '../compare.js'
import { exactForms, fittedGradients } from '../fitted-gradients.js'
import { FLOAT32, type Proposition } from '../proposition.js'
import { whole } from '../share.js'

/** The same where the host runs θ + αΔW, in which f and g are one product. */
export const merged: Proposition = {
  name: 'GL gradient equals back-propagation, merged',
  source: 'arXiv 2404.13844, section 3: parameter merging',
  ...FLOAT32,
  async * cases (scene) {
    for (const kind of AUXILIARY_KINDS.filter(isMergeableKind)) {
      const mode = scene.oneOf(MODES)
      const trainer = await scene.member(scene.job({ kinds: [kind], mode, merge: 'during' }))
      const own = whole(trainer)
      const batch = await scene.batch([own])
      const expected = await scene.backPropagation.parameterGradients(batch, [own], own)
      for (const wire of exactForms(trainer.spec)) {
        const { data } = await trainer.step(batch, { wire })
        yield * compared(`${scene.title}, ${kind}, ${mode}, ${wire}`, await fittedGradients(trainer, [data]), expected)
      }
    }
  }
}
