import { AUXILIARY_KINDS } from '../../../src/types.js'
import { relativeError } from '../../../test/support/compare.js'
import { FLOAT32, type Proposition } from '../proposition.js'
import { whole } from '../share.js'

/** What a host gives as ∇ĥ is the gradient of Δh = α·g(x) itself, as ĥ = f(x) + Δh. */
export const gradientOfChange: Proposition = {
  name: 'gradient of ĥ equals gradient of Δh',
  source: 'arXiv 2404.13844, Proposition 1',
  ...FLOAT32,
  async * cases (scene) {
    for (const kind of AUXILIARY_KINDS) {
      const merge = scene.oneOf(['during', 'never'] as const)
      const trainer = await scene.member(scene.job({ kinds: [kind], mode: 'alone', merge }))
      const own = whole(trainer)
      const batch = await scene.batch([own])
      const { data } = await trainer.step(batch)
      for (const [site, pair] of data) {
        const expected = await scene.backPropagation.changeGradient(batch, [own], site)
        yield { name: `${scene.title}, ${kind}, merged ${merge}, ${site}`, error: relativeError('gradient' in pair ? pair.gradient.values : [], expected.values) }
      }
    }
  }
}
