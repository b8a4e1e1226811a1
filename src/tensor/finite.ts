/** Whether no value is NaN or infinite. 0·v is 0 for every finite v, and NaN for the others. */
export function allFinite (values: Float32Array): boolean {
  let zero = 0
  for (let i = 0; i < values.length; i++) zero += 0 * values[i]
  return zero === 0
}
