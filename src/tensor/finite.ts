/** Whether no value is NaN or infinite. 0·v is 0 for every finite v, and NaN for the others. Four sums at a time, as each waits for itself. */
export function allFinite (values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0]
  const whole = values.length - values.length % 4
  for (let i = 0; i < whole; i += 4) {
    a += 0 * values[i]
    b += 0 * values[i + 1]
    c += 0 * values[i + 2]
    d += 0 * values[i + 3]
  }
  for (let i = whole; i < values.length; i++) a += 0 * values[i]
  return a + b + c + d === 0
}
