import { z } from 'zod'
import type { ImageSize } from '../network.js'
import { checkLabels, labelsConfig, labelsOf } from './labels.js'

const size = z.number().int().positive()

/** Height and width, in pixels; one number is both. */
export const sides = z.union([size.transform((side): [number, number] => [side, side]), z.tuple([size, size])], 'in pixels: a number, or [height, width]')

const fields = z.object({ num_channels: size, image_size: sides }).extend(labelsConfig.shape)

/** What images a classifier looks at, and which classes it tells apart. */
export interface ImageSettings {
  readonly image: ImageSize
  /** Two at least. */
  readonly labels: readonly string[]
}

/** What a `config.json` says of that; to be joined to what else it says with `and`. */
export const imageConfig = settingsFrom(fields)

/** The same with the defaults of transformers. */
export const defaultImageConfig = settingsFrom(fields.extend({ num_channels: size.default(3), image_size: sides.default([224, 224]) }))

function settingsFrom (schema: z.ZodType<z.infer<typeof fields>>): z.ZodType<ImageSettings> {
  return schema.check(payload => {
    checkLabels(payload)
    const { value, issues } = payload
    if (issues.length === 0 && labelsOf(value).length === 0) issues.push({ code: 'custom', input: value, message: 'a number is not supported where a row is an image; supported are two classes or more' })
  }).transform(({ num_channels: channels, image_size: [height, width], ...labels }) => ({ image: { channels, height, width }, labels: labelsOf(labels) }))
}
