import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Logger, PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { meetMembers, type MeetingInit } from '../../src/node/meeting.js'
import { ColaNode } from '../../src/node/node.js'
import { jobId } from '../../src/job.js'
import { randomAdapter, SITES } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { LOOPBACK, soon } from '../protocols/nodes.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { jobOf, SPEC } from './author.js'

const JOB = jobOf('collaboration')

describe('members of a job', () => {
  describe('in a mesh', () => {
    const folder = temporaryFolder()
    const running: ColaNode[] = []
    afterEach(async () => { await Promise.all(running.splice(0).map(async node => { await node.stop() })) })

    async function start (name: string, bootstrap: readonly string[] = []): Promise<ColaNode> {
      const node = await ColaNode.start({ folder: join(folder(), name), listen: LOOPBACK, mdns: false, localFolder: false, bootstrap })
      running.push(node)
      return node
    }

    it('meet though all that they have in common is a peer that is none, and a late one has what was contributed before', async () => {
      const stranger = await start('stranger')
      const known = stranger.mesh.getMultiaddrs().map(String)
      const early = await start('early', known)
      const contributed = await early.jobs.join(JOB, SITES).contribute(randomAdapter(SPEC, SITES, seeded(1)), { tokens: 7, final: true })
      const late = await start('late', known)
      const joined = late.jobs.join(JOB, SITES)
      const { members } = joined
      await joined.contribute(randomAdapter(SPEC, SITES, seeded(2)), { tokens: 8, final: true })
      if (members.held.length < 2) await pEvent(members, 'change', { filter: () => members.held.length === 2, signal: soon() })
      expect(members.held.map(({ record }) => record)).to.deep.include(contributed)
    })
  })

  describe('of which the DHT tells', () => {
    const log = (() => { /* not looked at */ }) as unknown as Logger

    /** Whom a member dials and asks that is told of others twice, and is connected to some members. */
    async function asked (told: readonly PeerId[], connected: readonly PeerId[], { me = told[0], failing = [] as readonly PeerId[] } = {}): Promise<PeerId[]> {
      const peers: PeerId[] = []
      const over = new AbortController()
      const mesh = {
        peerId: me,
        getPeers: () => [...connected],
        contentRouting: {
          provide: async () => { /* told */ },
          cancelReprovide: async () => { /* told */ },
          * findProviders () {
            for (const id of [...told, ...connected, ...connected]) yield { id, multiaddrs: [], routing: 'test' }
            over.abort(new Error('all were told'))
          }
        },
        dial: async (peer: PeerId) => {
          await Promise.resolve()
          if (failing.some(other => other.equals(peer))) throw new Error('gone')
        }
      } as unknown as MeetingInit['mesh']
      const late = setTimeout(() => over.abort(new Error('nobody is told of')), 3_000)
      await meetMembers({ mesh, job: jobId(JOB), members: () => connected, sync: async peer => await Promise.resolve(peers.push(peer)), log, random: () => 0 }, over.signal).catch(() => {})
      clearTimeout(late)
      return peers
    }

    async function peersOf (count: number): Promise<PeerId[]> {
      return await Promise.all(Array.from({ length: count }, async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
    }

    it('are asked once, those first that are connected, but for this one, whoever fails', async () => {
      const [me, a, b, c] = await peersOf(4)
      expect(await asked([me, a, c], [b], { failing: [a] })).to.deep.equal([b, c])
    })

    it('are not looked for where enough are connected, of which two are asked', async () => {
      const [me, other, ...connected] = await peersOf(8)
      expect(await asked([me, other], connected)).to.deep.equal(connected.slice(0, 2))
      expect(await asked([me, other], connected.slice(1))).to.have.deep.members([other, ...connected.slice(1)])
    })
  })
})
