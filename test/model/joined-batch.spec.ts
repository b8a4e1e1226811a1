import { join } from 'node:path'
import { expect } from 'chai'
import type { LentPass } from '../../src/node/host/lent-model.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { lengthsOf } from '../../src/places.js'
import { seeded } from '../merge/random.js'
import { FIXTURES } from '../support/fixtures.js'
import { expectSameResult } from './expect-same-result.js'
import { randomPart, specOf } from './random-pass.js'

describe('several batches joined in one pass', () => {
  for (const name of ['gpt2-odd', 'bert-odd', 'roberta-regression', 't5', 'vit', 'cnn']) {
    it(`give what each gives alone: ${name}`, async () => {
      const model = await LocalModel.open(join(FIXTURES, name), { device: 'cpu' }, () => {})
      const { info } = model
      const random = seeded(1)
      for (const count of [2, 3, 7]) { // of seven batches the rows are filled up too
        const parts = Array.from({ length: count }, (_, k) => randomPart(info, info.sites, specOf(k), k % 3 > 0, random))
        const pass: Omit<LentPass, 'parts'> = { sites: info.sites.map(({ name }) => name), merged: null, logits: true }
        const together = await model.pass({ ...pass, parts })
        expect(together).to.have.lengthOf(count)
        for (const [i, part] of parts.entries()) {
          const [alone] = await model.pass({ ...pass, parts: [part] })
          expectSameResult(together[i], alone, { loss: 1e-6, tensors: 1e-5 })
        }
        if (info.positions > 0 && count > 2) expect(new Set(parts.map(({ batch }) => lengthsOf(batch).input)).size).to.be.above(1)
      }
      await model.dispose()
    })
  }
})
