/** The error that a promise ends with. */
export async function failureOf (promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    value => { throw new Error(`it did not fail, but gave ${String(value)}`) },
    (error: unknown) => error as Error
  )
}
