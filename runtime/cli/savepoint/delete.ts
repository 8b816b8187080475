import { resolve } from 'node:path'
import { isSavepointFile, METADATA } from '../../savepoint/names.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../error.ts'
import { counted } from '../format.ts'
import { existingSavepoint } from './place.ts'

export const savepointDelete: Command = {
  name: 'savepoint delete',
  summary: 'Delete a savepoint',
  description: `Deletes the files of a savepoint, damaged ones too, and nothing else that lies beside them. What is left of one whose writing was cut off goes as well, if nothing else lies there. Runs that began with it don't need it any more.`,
  positionals: [{ name: 'PATH', help: 'the savepoint: its directory, or s3://BUCKET/KEY' }],
  flags: {},
  examples: ['millrace savepoint delete before-the-sale'],
  async run(args) {
    const path = args.positionals[0]!
    const { blobs, close } = await (await existingSavepoint(path)).open()
    try {
      const found = await blobs.list('')
      const names = found.filter(isSavepointFile)
      // Without it, a savepoint whose writing was cut off; but not beside what is none, as in the directory of a run.
      const isSavepoint = names.includes(METADATA) || (names.length > 0 && names.length === found.length)
      if (!isSavepoint) throw new UsageError(`there is no savepoint at ${path}: it has no ${METADATA}`)
      // First: from then on it is none.
      await blobs.delete(METADATA)
      for (const name of names) await blobs.delete(name)
      process.stdout.write(`${path} is deleted (${counted(names.length, 'file')})\n`)
    } finally {
      await close()
    }
    if (!path.startsWith('s3://')) {
      const { removeEmpty } = await import('../../savepoint/directory.ts')
      await removeEmpty(resolve(path))
    }
    return 0
  },
}
