import { z } from 'zod'

/** transformers' number of classes where `config.json` says none. */
const DEFAULT_LABELS = 2

/** What of a `config.json` says which classes a model tells apart. */
export const labelsConfig = z.object({
  id2label: z.record(z.string(), z.string()).nullish(),
  num_labels: z.number().int().positive().nullish(),
  problem_type: z.enum(['single_label_classification', 'regression'], 'a kind of problem that is not supported; supported are single_label_classification and regression').nullish()
})

type LabelsConfig = z.infer<typeof labelsConfig>

/** Refuses what contradicts itself, and more numbers than one. */
export function checkLabels ({ value, issues }: { readonly value: LabelsConfig, readonly issues: z.core.$ZodRawIssue[] }): void {
  const message = wrongIn(value)
  if (message !== undefined) issues.push({ code: 'custom', input: value, message })
}

function wrongIn (config: LabelsConfig): string | undefined {
  const { id2label, num_labels: count, problem_type: problem } = config
  const names = namesOf(config)
  if (names.length === 0) return 'id2label names no class'
  if (names.includes(undefined)) return `id2label names ${Object.keys(id2label ?? {}).join(', ')}; classes are counted from 0`
  if ((count ?? names.length) !== names.length) return `num_labels is ${count}, id2label has ${names.length}; they must be the same`
  if (problem === 'regression' && names.length > 1) return `regression with ${names.length} numbers is not supported; supported is one number`
  if (problem === 'single_label_classification' && names.length === 1) return 'single_label_classification with one class; it takes at least two'
}

/**
 * Names of the classes; none where the model gives a number, as transformers takes it to do where there is but one.
 *
 * @param config that `checkLabels` found nothing against
 */
export function labelsOf (config: LabelsConfig): string[] {
  const names = namesOf(config).filter(name => name !== undefined)
  return names.length === 1 ? [] : names
}

/** In the order of the classes; undefined where one has none. */
function namesOf ({ id2label, num_labels: count }: LabelsConfig): Array<string | undefined> {
  if (id2label === undefined || id2label === null) return Array.from({ length: count ?? DEFAULT_LABELS }, (_, i) => `LABEL_${i}`)
  return Object.keys(id2label).map((_, i) => id2label[i] as string | undefined)
}
