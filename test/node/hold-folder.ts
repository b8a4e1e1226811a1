import { lockFolder } from '../../src/node/folder-lock.js'

/** A process that takes a folder and gives it free when it is told to, started by `folder-lock.spec.ts`. */
const release = await lockFolder(process.argv[2])
process.on('message', () => {
  release().then(() => process.send?.('released'), (error: unknown) => { throw error })
})
process.send?.('held')
