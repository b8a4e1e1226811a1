import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { replaceFile } from '../files.js'

/** A node's key file cannot be used. */
export class InvalidIdentityError extends Error {
  override readonly name = 'InvalidIdentityError'
}

/** The file in a node's folder. */
export const IDENTITY_FILE = 'identity.key'

/** Nobody else may read it: who has the key is this peer. */
const MODE = 0o600

/**
 * The node's Ed25519 key, made and kept the first time, so that the node has the same peer id each time it runs.
 *
 * @throws {InvalidIdentityError} if there is a file that is not such a key; it is left as it is
 */
export async function loadIdentity (folder: string): Promise<PrivateKey> {
  const path = join(folder, IDENTITY_FILE)
  const bytes = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  if (bytes === undefined) {
    const key = await generateKeyPair('Ed25519')
    await replaceFile(path, privateKeyToProtobuf(key), MODE)
    return key
  }
  try {
    const key = privateKeyFromProtobuf(bytes)
    if (key.type === 'Ed25519' && await isWhole(key)) return key
  } catch { /* refused below */ }
  throw new InvalidIdentityError(`${path} does not hold an Ed25519 key. Put its backup there, or move it away to have a new identity made (then other peers know this node under a new id)`)
}

/** Whether the two halves belong together: libp2p takes any two, and with others no peer would believe this one. */
async function isWhole (key: PrivateKey): Promise<boolean> {
  const probe = new Uint8Array(1)
  return await key.publicKey.verify(probe, await key.sign(probe))
}
