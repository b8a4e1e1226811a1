import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { InvalidOptionError } from '../errors.js'
import { parseTrainOptions, type TrainOptions, trainOptionsSchema } from './trainer/options.js'

const count = z.number().int().positive()

const configSchema = z.strictObject({
  /** Where the node keeps its identity and its state. */
  folder: z.string().min(1).default('.colanet/node'),
  /** Multiaddrs. */
  listen: z.array(z.string()).optional(),
  /** Multiaddrs of peers to stay connected to. */
  bootstrap: z.array(z.string()).optional(),
  mdns: z.boolean().optional(),
  /** The folder through which nodes on this machine find each other; false for not. */
  localFolder: z.union([z.string(), z.literal(false)]).optional(),
  /** The host's role. */
  host: z.strictObject({
    /** A Hugging Face folder. */
    model: z.string().min(1),
    limits: z.strictObject({ rows: count.optional(), tokens: count.optional(), rank: count.optional() }).default({}),
    /** Of any one trainer. */
    quotas: z.strictObject({ tokensPerMinute: count.optional(), jobs: count.optional(), waitingBytes: count.optional() }).optional()
  }).optional(),
  /** The trainer's role: jobs, one after the other. */
  train: z.array(trainOptionsSchema).default([])
}).refine(({ host, train }) => host !== undefined || train.length > 0, 'a node needs a role: host, or train, or both')

/** What a daemon is to do. */
export type NodeConfig = z.infer<typeof configSchema>

/** @throws {InvalidOptionError} if the file cannot be read, or says something that is not known */
export async function readNodeConfig (path: string): Promise<NodeConfig> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new InvalidOptionError(`${path} cannot be read, or is not JSON (${(cause as Error).message}); a node's configuration is {"host": {"model": "DIR"}, "train": [{"model": "…", "data": ["…"]}]}`, { cause })
  }
  const parsed = configSchema.safeParse(json)
  if (!parsed.success) throw new InvalidOptionError(`${path}: ${z.prettifyError(parsed.error)}`)
  return { ...parsed.data, train: parsed.data.train.map((options, i) => parseJob(`${path}: train[${i}]`, options)) }
}

function parseJob (where: string, options: TrainOptions): TrainOptions {
  try {
    return parseTrainOptions(options)
  } catch (cause) {
    throw new InvalidOptionError(`${where}: ${(cause as Error).message}`, { cause })
  }
}
