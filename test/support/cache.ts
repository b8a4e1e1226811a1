import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Tests, and the processes that they start, leave the user's caches alone. */
process.env.COLANET_CACHE ??= join(tmpdir(), 'colanet-test-cache')
