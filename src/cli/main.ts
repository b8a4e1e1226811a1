#!/usr/bin/env node
import './stdout.js'
import { run } from './run.js'

process.exit(await run(process.argv.slice(2), {
  step: async () => (await import('./step.js')).step
}))
