import { DEFAULT_LIMITS, Host } from '../node/host/host.js'
import { lend } from '../node/host/lend.js'
import { DEFAULT_QUOTAS } from '../node/host/trainer-quotas.js'
import { inviteToModel } from '../node/invite.js'
import { ModelThread } from '../node/host/model-thread.js'
import { ColaNode } from '../node/node.js'
import { defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { bannedBy, describePeer, meshInit, NETWORK_OPTIONS, tellBans } from './network.js'
import { EMBEDDED_MODEL } from './package-root.js'
import { trafficLines } from './traffic-lines.js'
import { untilAborted, watchHost } from './watch-host.js'

const MB = 1024 * 1024

/** Lends a base model until it is told to stop. */
export const host = defineCommand({
  command: 'host',
  describe: 'Lends a base model\'s forward and backward pass to the mesh',
  options: {
    model: { type: 'string', describe: 'Hugging Face folder with config.json, safetensors and tokenizer.json (default: the small model that comes with colanet)' },
    folder: { type: 'string', default: '.colanet/host', describe: 'where the node keeps its identity' },
    ...NETWORK_OPTIONS,
    maxRows: { type: 'integer', min: 1, default: DEFAULT_LIMITS.rows, describe: 'rows accepted in a batch' },
    maxTokens: { type: 'integer', min: 1, default: DEFAULT_LIMITS.tokens, describe: 'tokens accepted in a batch' },
    maxRank: { type: 'integer', min: 1, default: DEFAULT_LIMITS.rank, describe: 'rank accepted of a low-rank auxiliary' },
    maxTokensPerMinute: { type: 'integer', min: 1, describe: 'tokens run in a minute for one trainer, which waits then (default: no limit)' },
    maxJobs: { type: 'integer', min: 1, default: DEFAULT_QUOTAS.jobs, describe: 'jobs of one trainer within ten minutes' },
    maxWaitingMb: { type: 'integer', min: 1, default: DEFAULT_QUOTAS.waitingBytes / MB, describe: 'MB of data for one trainer that it has not pulled, before it has to' },
    ...ENGINE_OPTIONS
  },
  examples: [
    ['host', 'lends the small model that comes with colanet'],
    ['host --model ~/models/gpt2 --listen /ip4/0.0.0.0/tcp/4001', 'lends GPT-2 on a port of your choice']
  ],
  handler: async ({ model: folder = EMBEDDED_MODEL, maxRows, maxTokens, maxRank, maxTokensPerMinute, maxJobs, maxWaitingMb, backend, device, dtype, baseQuantize, threads, spin, memory, folder: nodeFolder, ...network }, { signal, report, log }) => {
    const model = await ModelThread.open({ folder, log, ...engineOptions({ backend, device, dtype, baseQuantize, threads, spin, memory }) })
    log(`computes on ${model.engine.description}`)
    signal.throwIfAborted()
    const node = await ColaNode.start({ folder: nodeFolder, ...meshInit(network), log })
    try {
      const lender = new Host({ model, jobs: node.jobs, limits: { rows: maxRows, tokens: maxTokens, rank: maxRank } })
      const quotas = { jobs: maxJobs, waitingBytes: maxWaitingMb * MB, ...(maxTokensPerMinute !== undefined && { tokensPerMinute: maxTokensPerMinute }) }
      const stop = await lend(node, { host: lender, folder, quotas })
      log(`hosting ${model.info.name}, model ${model.info.id}`)
      describePeer(node, log)
      tellBans(node, log)
      log(`others train with it: colanet join ${inviteToModel(node.mesh, model.info.id)} --data THEIR-OWN`)
      log('Ctrl+C stops it')
      const unwatch = watchHost(lender, node, log)
      await untilAborted(signal)
      unwatch()
      await stop()
      const { steps, tokensPerSecond } = lender
      const accounts = node.traffic.accounts()
      await report({
        peer: node.mesh.peerId.toString(), model: model.info.id, name: model.info.name, engine: model.engine.name, steps, tokensPerSecond, banned: bannedBy(node), ...accounts
      }, `${steps} training steps served, ${tokensPerSecond.toFixed(0)} tokens/s\n${trafficLines(accounts, job => node.jobs.nameOf(job))}`)
    } finally {
      await node.stop()
      await model.dispose()
    }
  }
})
