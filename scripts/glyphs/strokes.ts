/** x to the right, y down; a glyph lies between −1 and 1. */
export type Point = readonly [x: number, y: number]

/** A line through its points. */
export type Stroke = readonly Point[]

/** Of a quarter of an ellipse. */
const POINTS = 5

/** The digits 0 to 9. */
export const GLYPHS: ReadonlyArray<readonly Stroke[]> = [
  [arc([0, 0], [0.58, 0.88], 0, 360)],
  [[[-0.3, -0.5], [0.08, -0.88], [0.08, 0.88]]],
  [[...arc([0, -0.38], [0.52, 0.5], 190, 400), [-0.55, 0.88], [0.58, 0.88]]],
  [[...arc([0, -0.44], [0.46, 0.44], 205, 450), ...arc([0, 0.44], [0.54, 0.44], -90, 155)]],
  [[[0.24, 0.88], [0.24, -0.88], [-0.58, 0.34], [0.58, 0.34]]],
  [[[0.5, -0.88], [-0.42, -0.88], [-0.48, -0.06], ...arc([-0.02, 0.34], [0.54, 0.54], -130, 145)]],
  [six()],
  [[[-0.54, -0.88], [0.54, -0.88], [-0.14, 0.88]]],
  [arc([0, -0.46], [0.42, 0.42], 0, 360), arc([0, 0.44], [0.52, 0.46], 0, 360)],
  [six().map(([x, y]) => [-x, -y])]
]

/** From the tip down into the ring. */
function six (): Stroke {
  return [[0.3, -0.88], [-0.08, -0.6], [-0.38, -0.14], ...arc([0, 0.36], [0.5, 0.5], 190, 550)]
}

/** Degrees, clockwise from the right. */
function arc ([x, y]: Point, [width, height]: readonly [number, number], from: number, to: number): Point[] {
  const count = Math.ceil((to - from) / 90 * POINTS)
  return Array.from({ length: count + 1 }, (_, i) => {
    const angle = (from + (to - from) * i / count) * Math.PI / 180
    return [x + width * Math.cos(angle), y + height * Math.sin(angle)]
  })
}
