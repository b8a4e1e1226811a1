import { z } from 'zod'
import { InvalidModelError } from '../../errors.js'
import type { Resampling, Size } from './resize.js'

/** The longest side, in pixels, that a model folder may ask for: no more than `MAX_PIXELS` come of two. */
const MAX_SIDE = 10_000

/** transformers' names of usual means and standard deviations, of values from 0 to 1. */
const STANDARD = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const OPENAI = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] }

/** An image of the size that a model takes. */
export interface ModelImage extends Size {
  readonly channels: number
}

/** What becomes of the values of an image before a model sees them: resized, cropped, and (value·factor − mean) / std. */
export interface ImageProcessor {
  /** 3 for RGB, 1 for grey. */
  readonly channels: 1 | 3
  /** What the model takes. */
  readonly output: Size
  /** undefined where images stay as they are. */
  readonly resize?: { readonly to: Size | ShortestEdge, readonly resampling: Resampling }
  /** What of the middle is kept; what is missing there is black. */
  readonly crop?: Size
  /** What a value from 0 to 255 is multiplied by. */
  readonly factor: number
  /** `[channels]` */
  readonly mean: readonly number[]
  /** `[channels]` */
  readonly std: readonly number[]
}

/** The shorter side gets this long, in pixels, and the other keeps the proportion. */
export interface ShortestEdge {
  readonly shortestEdge: number
}

type Target = Size | ShortestEdge

/** What a class of transformers does where its file says nothing. */
interface Kind {
  readonly resampling: Resampling
  readonly size: Target
  /** Whether a size that is one number is that of a square, else of the shortest edge. */
  readonly square: boolean
  readonly crop?: Size
  readonly statistics: { readonly mean: readonly number[], readonly std: readonly number[] }
  /** ConvNext's `crop_pct`: the share of the resized image's shortest edge that is kept. */
  readonly keeps?: number
}

const CLIP: Kind = { resampling: 'bicubic', size: { shortestEdge: 224 }, square: false, crop: squareOf(224), statistics: OPENAI }

/** By what stands before `ImageProcessor` in the name of the class. */
const KINDS: Readonly<Record<string, Kind>> = {
  ViT: { resampling: 'bilinear', size: squareOf(224), square: true, statistics: STANDARD },
  DeiT: { resampling: 'bicubic', size: squareOf(256), square: true, crop: squareOf(224), statistics: STANDARD },
  Siglip: { resampling: 'bicubic', size: squareOf(224), square: false, statistics: STANDARD },
  CLIP,
  Bit: CLIP,
  ConvNext: { resampling: 'bicubic', size: { shortestEdge: 384 }, square: false, statistics: STANDARD, keeps: 224 / 256 }
}

/** PIL's numbers. */
const RESAMPLINGS = { 0: 'nearest', 2: 'bilinear', 3: 'bicubic' } as const

const side = z.number().int().positive().max(MAX_SIDE)
const pair = z.tuple([side, side]).transform(([height, width]) => ({ height, width }))
const exact = z.strictObject({ height: side, width: side })
const shortest = z.strictObject({ shortest_edge: side }).transform(({ shortest_edge: shortestEdge }) => ({ shortestEdge }))
const statistics = z.union([z.number(), z.array(z.number())])

const schema = z.object({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
  do_resize: z.boolean().nullish(),
  size: z.union([side, pair, exact, shortest], `a size is a number, [height, width], {"height", "width"} or {"shortest_edge"}, in pixels up to ${MAX_SIDE}`).nullish(),
  resample: z.literal([0, 2, 3], 'only 0 (nearest), 2 (bilinear) and 3 (bicubic) are supported').nullish(),
  crop_pct: z.number().positive().max(1).nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: z.union([side, pair, exact], `a size to crop to is a number, [height, width] or {"height", "width"}, in pixels up to ${MAX_SIDE}`).nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: statistics.nullish(),
  image_std: statistics.nullish(),
  do_pad: z.literal(false, 'padding is not supported').nullish()
})

type Settings = z.infer<typeof schema>

/**
 * What a `preprocessor_config.json` says, as transformers' classes read it, or where a folder has none: resized to what the
 * model takes, values from −1 to 1. Images become RGB or grey as the model takes them, whatever `do_convert_rgb` says.
 *
 * @param json undefined where there is no such file
 * @param path of the file, for errors
 * @throws {InvalidModelError} if its class is not known, it says what is not supported, or what comes of it is not what the model takes
 */
export function parseImageProcessor (json: unknown, path: string, takes: ModelImage): ImageProcessor {
  const { channels, ...output } = takes
  if (channels !== 1 && channels !== 3) throw new InvalidModelError(`${path}: images of ${channels} channels are not supported; 3 for RGB and 1 for grey are`)
  if (json === undefined) {
    const half = perChannel(0.5, 'image_mean', channels, path)
    return { channels, output, resize: { to: output, resampling: 'bilinear' }, factor: 1 / 255, mean: half, std: half }
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success) throw new InvalidModelError(`${path}: ${z.prettifyError(parsed.error)}`)
  const settings = parsed.data
  const kind = kindOf(settings, path)
  const geometry = geometryOf(settings, kind, path)
  checkOutput(geometry, output, path)
  return { channels, output, ...geometry, ...scaleOf(settings, kind, channels, path) }
}

/** What says no class, as older files do, is a ViT's. */
function kindOf ({ image_processor_type: type, feature_extractor_type: former }: Settings, path: string): Kind {
  const name = type ?? former ?? 'ViTImageProcessor'
  const [, key = ''] = /^(\w+?)(?:ImageProcessor|FeatureExtractor)(?:Fast|Pil)?$/.exec(name) ?? []
  if (Object.hasOwn(KINDS, key)) return KINDS[key]
  throw new InvalidModelError(`${path}: image_processor_type ${JSON.stringify(name)} is not known; known are ${Object.keys(KINDS).map(kind => `${kind}ImageProcessor`).join(', ')}`)
}

type Geometry = Pick<ImageProcessor, 'resize' | 'crop'>

function geometryOf (settings: Settings, kind: Kind, path: string): Geometry {
  const { do_resize: resizes, size, resample, crop_size: cropSize } = settings
  const resampling = resample == null ? kind.resampling : RESAMPLINGS[resample]
  const target = targetOf(size ?? kind.size, kind.square)
  if (kind.keeps !== undefined) return resizes === false ? {} : convNext(target, settings.crop_pct ?? kind.keeps, resampling, path)
  const crops = settings.do_center_crop ?? kind.crop !== undefined
  const crop = cropSize == null ? kind.crop : targetOf(cropSize, true) as Size
  if (crops && crop === undefined) throw new InvalidModelError(`${path}: do_center_crop needs a crop_size`)
  return {
    ...(resizes === false ? {} : { resize: { to: target, resampling } }),
    ...(crops && crop !== undefined ? { crop } : {})
  }
}

/** Below 384 pixels more than what is kept is resized; from there on images are warped to a square. */
function convNext (target: Target, keeps: number, resampling: Resampling, path: string): Geometry {
  if (!('shortestEdge' in target)) throw new InvalidModelError(`${path}: the size of a ConvNextImageProcessor is one number or {"shortest_edge"}`)
  const square = squareOf(target.shortestEdge)
  if (target.shortestEdge >= 384) return { resize: { to: square, resampling } }
  return { resize: { to: { shortestEdge: Math.trunc(target.shortestEdge / keeps) }, resampling }, crop: square }
}

function targetOf (size: number | Target, square: boolean): Target {
  if (typeof size !== 'number') return size
  return square ? squareOf(size) : { shortestEdge: size }
}

function squareOf (size: number): Size {
  return { height: size, width: size }
}

/** Where images keep their proportion and nothing is cropped, what comes of one is known only then. */
function checkOutput ({ resize, crop }: Geometry, output: Size, path: string): void {
  const made = crop ?? resize?.to
  if (made === undefined || 'shortestEdge' in made) return
  if (made.height !== output.height || made.width !== output.width) {
    throw new InvalidModelError(`${path}: makes images of ${made.height} by ${made.width} pixels (height by width), but the model takes ${output.height} by ${output.width}`)
  }
}

function scaleOf (settings: Settings, { statistics }: Kind, channels: number, path: string): Pick<ImageProcessor, 'factor' | 'mean' | 'std'> {
  const { do_normalize: normalises, image_mean: mean, image_std: std } = settings
  const factor = settings.do_rescale === false ? 1 : settings.rescale_factor ?? 1 / 255
  if (normalises === false) return { factor, mean: perChannel(0, 'image_mean', channels, path), std: perChannel(1, 'image_std', channels, path) }
  return {
    factor,
    mean: perChannel(mean ?? statistics.mean, 'image_mean', channels, path),
    std: perChannel(std ?? statistics.std, 'image_std', channels, path)
  }
}

/** One number, or several that are the same, are that of every channel. */
function perChannel (value: number | readonly number[], name: string, channels: number, path: string): readonly number[] {
  const given = typeof value === 'number' ? [value] : value
  const values = new Set(given).size === 1 ? Array.from({ length: channels }, () => given[0]) : given
  if (values.length !== channels) throw new InvalidModelError(`${path}: ${name} is ${values.length} numbers, but the model takes images of ${channels} channels`)
  if (name === 'image_std' && values.some(std => std <= 0)) throw new InvalidModelError(`${path}: image_std is ${values.join(', ')}; numbers above 0 are needed`)
  return values
}
