import { join } from 'node:path'
import type { ModelImage } from '../../../src/data/images/image-processor.js'
import type { NamedTensors } from '../../../src/types.js'
import { FIXTURES, readJson, readTensors } from '../../support/fixtures.js'

/** What transformers' image processors made of an image: scripts/fixtures_images.py. */
export interface Case {
  readonly name: string
  readonly file: string
  readonly takes: ModelImage
  /** A `preprocessor_config.json`. */
  readonly config: Readonly<Record<string, unknown>>
}

export async function readCases (): Promise<readonly Case[]> {
  return await readJson('images', 'cases.json') as readonly Case[]
}

export async function readExpected (): Promise<NamedTensors> {
  return await readTensors('images', 'expected.safetensors')
}

export function imagePath (file: string): string {
  return join(FIXTURES, 'images', 'files', file)
}
