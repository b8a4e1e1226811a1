#!/usr/bin/env -S node --max-semi-space-size=2
// what comes over the network is short-lived: collected more often, it takes 20 to 60 MB less of memory and no more time
import './stdout.js'
import { setMaxListeners } from 'node:events'
import { run } from './run.js'

setMaxListeners(1_000) // more than ten are a leak to Node, which would tell users of it, and a node has some for each of 300 connections

process.exit(await run(process.argv.slice(2), {
  host: async () => (await import('./host.js')).host,
  train: async () => (await import('./train.js')).train,
  join: async () => (await import('./join.js')).join,
  relay: async () => (await import('./relay.js')).relay,
  simulate: async () => (await import('./simulate/simulate.js')).simulate,
  node: async () => (await import('./node.js')).node,
  eval: async () => (await import('./eval.js')).evaluation,
  generate: async () => (await import('./generate.js')).generate,
  init: async () => (await import('./init.js')).init,
  merge: async () => (await import('./merge.js')).merge,
  compress: async () => (await import('./compress.js')).compress,
  pull: async () => (await import('./pull.js')).pull,
  step: async () => (await import('./step.js')).step,
  doctor: async () => (await import('./doctor.js')).doctor
}))
