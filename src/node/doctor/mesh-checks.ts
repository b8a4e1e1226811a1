import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { NoHostError } from '../../errors.js'
import { findHost, isFolder, modelInFolder, modelsOnOffer } from '../model-source.js'
import type { WeightForm } from '../../model/weights.js'
import { type Check, failed, ok, skipped } from './check.js'
import type { Visit } from './visit.js'

/** How often the DHT is asked until somebody answers, in milliseconds. */
const DHT_INTERVAL = 500

/** Bytes of a key of the DHT. */
const KEY_BYTES = 32

/** Whether a search in the DHT is answered. */
export function dhtCheck ({ mesh }: Visit): Check {
  return {
    name: 'dht',
    unended: 'see that one of the peers at --bootstrap runs colanet, and is not busy',
    look: async signal => {
      if (mesh.getPeers().length === 0) return skipped('no peer is there to answer')
      const answered = new Set<string>()
      for (;;) {
        for await (const event of mesh.services.dht.getClosestPeers(randomBytes(KEY_BYTES), { signal })) {
          if (event.name === 'PEER_RESPONSE') answered.add(event.from.toString())
        }
        if (answered.size > 0) return ok(`${answered.size} ${answered.size === 1 ? 'peer answers' : 'peers answer'}`)
        await delay(DHT_INTERVAL, undefined, { signal })
      }
    }
  }
}

/**
 * Whether somebody lends the model.
 *
 * @param wanted its folder, id, beginning of the id, or name; undefined for any
 * @param patience in milliseconds
 */
export function hostCheck ({ adverts, mesh }: Visit, wanted: string | undefined, form: WeightForm, patience: number): Check {
  const advice = wanted === undefined
    ? 'start one: colanet host'
    : 'see that the model\'s host runs, with the same --dtype and --base-quantize, and is reached by --bootstrap; or start one: colanet host --model FOLDER'
  return {
    name: 'host',
    unended: advice,
    look: async signal => {
      if (mesh.getPeers().length === 0) return failed('no peer, and so no host', advice)
      try {
        const id = wanted !== undefined && await isFolder(wanted) ? (await modelInFolder(wanted, form)).info.id : wanted
        const { name, model, engine } = await findHost(adverts, id, patience, signal)
        return ok(`${name} (${model.slice(0, 8)}) is lent, computed by ${engine}`)
      } catch (error) {
        if (!(error instanceof NoHostError)) throw error
        return failed(`nobody lends ${wanted ?? 'a model'}; on offer: ${modelsOnOffer(adverts)}`, advice)
      }
    }
  }
}
