/**
 * Standard output belongs to the report. TensorFlow.js, libp2p and what they load print to the console as they like,
 * some of it while they are loaded; from the moment that this file is imported all of that goes to standard error.
 * Import it before anything else.
 */
const write = process.stdout.write.bind(process.stdout)

process.stdout.write = process.stderr.write.bind(process.stderr)

// A reader that has gone (`colanet … | head`) wants nothing more; that is no failure of the work.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

/** Writes to the real standard output. Resolves when it has left, so that the process may end. */
export async function writeToStdout (text: string): Promise<void> {
  await new Promise<void>(resolve => { write(text, () => resolve()) })
}
