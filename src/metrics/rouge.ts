import { commonSubsequence } from './common-subsequence.js'

/** What a prediction and a reference share, each in [0, 1]. */
export interface RougeScore {
  /** Share of the prediction that is in the reference. */
  readonly precision: number
  /** Share of the reference that is in the prediction. */
  readonly recall: number
  /** Their harmonic mean. */
  readonly fmeasure: number
}

/** By words, by pairs of neighbouring words, and by the longest common subsequence of words. */
export interface RougeScores {
  readonly rouge1: RougeScore
  readonly rouge2: RougeScore
  readonly rougeL: RougeScore
}

/**
 * ROUGE of one text: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), in the numbers of Google's
 * `rouge_score` as it is by default, without a stemmer.
 *
 * Words are as there: what stands between other characters than a–z and 0–9, in lower case. A text in another script has none,
 * so that all its scores are 0, and ROUGE says nothing of it.
 */
export function rouge (prediction: string, reference: string): RougeScores {
  const [predicted, wanted] = [prediction, reference].map(wordsOf)
  const [predictedPairs, wantedPairs] = [predicted, wanted].map(pairsOf)
  return {
    rouge1: score(commonCount(predicted, wanted), predicted, wanted),
    rouge2: score(commonCount(predictedPairs, wantedPairs), predictedPairs, wantedPairs),
    rougeL: score(commonSubsequence(predicted, wanted), predicted, wanted)
  }
}

function wordsOf (text: string): readonly string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? []
}

function pairsOf (words: readonly string[]): string[] {
  return words.slice(1).map((word, i) => `${words[i]} ${word}`)
}

/** How many are in both, each as often as in that which has it less often. */
function commonCount (some: readonly string[], others: readonly string[]): number {
  const left = new Map<string, number>()
  for (const each of others) left.set(each, (left.get(each) ?? 0) + 1)
  let common = 0
  for (const each of some) {
    const count = left.get(each) ?? 0
    if (count === 0) continue
    left.set(each, count - 1)
    common++
  }
  return common
}

function score (common: number, predicted: readonly string[], wanted: readonly string[]): RougeScore {
  if (common === 0) return { precision: 0, recall: 0, fmeasure: 0 }
  const precision = common / predicted.length
  const recall = common / wanted.length
  return { precision, recall, fmeasure: 2 * precision * recall / (precision + recall) }
}
