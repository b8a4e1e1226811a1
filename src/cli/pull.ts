import { basename, join } from 'node:path'
import { FolderInUseError } from '../errors.js'
import { hubAccess } from '../hub/access.js'
import { chooseFiles } from '../hub/choose-files.js'
import { HubConnection } from '../hub/connection.js'
import { makeFolder, pullFiles } from '../hub/pull-files.js'
import { checkRepositoryName, openRepository } from '../hub/repository.js'
import { lockFolder } from '../node/folder-lock.js'
import { defineCommand } from './command.js'
import { terminalReporter } from './reporter.js'

/** Brings a model or an adapter from the Hugging Face Hub. */
export const pull = defineCommand({
  command: 'pull [model]',
  describe: 'Downloads a model, or a PEFT adapter, from the Hugging Face Hub; goes on where it was cut off. HF_TOKEN is the token for what is not public, HF_ENDPOINT another hub\'s address',
  options: {
    model: { type: 'string', required: true, describe: 'ORG/NAME, as the model\'s page on the Hub has it' },
    revision: { type: 'string', default: 'main', describe: 'branch, tag or commit' },
    out: { type: 'string', describe: 'where the files go (default: models/NAME in the present folder)' }
  },
  examples: [
    ['pull openai-community/gpt2', 'GPT-2, into models/gpt2'],
    ['pull Qwen/Qwen3-0.6B --out ~/models/qwen3', 'into a folder of your choice']
  ],
  handler: async ({ model: name, revision, out }, { signal, progress, report, log }) => {
    checkRepositoryName({ name, revision })
    const folder = out ?? join('models', basename(name))
    const access = await hubAccess(process.env)
    const connection = new HubConnection({ access, repository: { name, revision }, signal, log })
    const repository = await openRepository(connection)
    const { commit } = repository
    const choice = chooseFiles(repository)
    log(`${name} at ${revision} is commit ${commit} of ${access.endpoint}; into ${folder}`)
    await makeFolder(folder)
    const unlock = await lockForPull(folder)
    const reporter = terminalReporter({ progress, log })
    try {
      const rate = speedometer()
      const { files, bytes, downloaded } = await pullFiles({
        connection,
        repository,
        choice,
        folder,
        signal,
        log,
        onProgress: (what, done, total) => reporter.progress(what, done, total, rate(what, done))
      })
      await report(
        { model: name, revision, commit, folder, files, bytes, downloaded },
        `${name} is in ${folder}: ${files} files, ${amount(bytes)}, of which ${amount(downloaded)} came now\n${nextStep(choice.kind, folder)}`
      )
    } finally {
      reporter.end()
      await unlock()
    }
  }
})

function nextStep (kind: 'model' | 'adapter', folder: string): string {
  return kind === 'model'
    ? `next: colanet host --model ${folder}`
    : `next: colanet generate --model THE-FOLDER-OF-ITS-BASE-MODEL --adapter ${folder} --prompt "..."`
}

async function lockForPull (folder: string): Promise<() => Promise<void>> {
  try {
    return await lockFolder(folder)
  } catch (cause) {
    if (!(cause instanceof FolderInUseError)) throw cause
    throw new FolderInUseError(`${folder} is being written by another process; wait for it, or choose another folder with --out`, { cause })
  }
}

/** Bytes a second since the work began, for people. */
function speedometer (): (what: string, done: number) => string {
  let begun: { readonly what: string, readonly done: number, readonly time: number } | undefined
  return (what, done) => {
    const time = performance.now()
    if (begun?.what !== what) begun = { what, done, time }
    const rate = (done - begun.done) / (time - begun.time) * 1000
    return Number.isFinite(rate) ? `${amount(rate)}/s` : ''
  }
}

/** Of bytes, for people. */
function amount (bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
