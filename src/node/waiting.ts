/** What takes longer than this is said to be waited for, in milliseconds. */
const LONG = 5_000

/** Says once what is waited for, and what to do about it, if it takes long. */
export async function sayingWhatFor<T> (line: string, log: (line: string) => void, work: Promise<T>): Promise<T> {
  const timer = setTimeout(log, LONG, line)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}

/** @param patience in milliseconds */
export function waitingForHost (model: string, patience: number): string {
  return `no host of ${model} is found yet; looking for ${patience / 1000} s (--patience). Start one with colanet host --model DIR, give the address that it prints with --bootstrap, or see what colanet doctor says`
}
