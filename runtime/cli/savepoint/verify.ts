import type { Command } from '../command.ts'
import { asUsage } from '../error.ts'
import { bytes, count, counted } from '../format.ts'
import { existingSavepoint } from './place.ts'

export const savepointVerify: Command = {
  name: 'savepoint verify',
  summary: 'Check that a savepoint is whole',
  description: `Reads all files of a savepoint against their checksums, and every entry of state in them. Exit code 1, and the names of what is missing or damaged, if it is not whole.`,
  positionals: [{ name: 'PATH', help: 'the savepoint: its directory, or s3://BUCKET/KEY' }],
  flags: { json: { help: 'Print the result as JSON' } },
  examples: ['millrace savepoint verify before-the-sale'],
  async run(args) {
    const path = args.positionals[0]!
    const { verifySavepoint } = await import('../../savepoint/verify.ts')
    const { blobs, close } = await (await existingSavepoint(path)).open()
    const { manifest, items, damages } = await asUsage(() => verifySavepoint(blobs, path)).finally(close)
    const { pipeline, checkpoint, files } = manifest
    const size = files.reduce((sum, file) => sum + file.bytes, 0)
    if (args.has('json'))
      process.stdout.write(
        `${JSON.stringify({ path, pipeline, checkpoint, files: files.length, bytes: size, items, damages })}\n`,
      )
    else if (damages.length > 0) process.stderr.write(`millrace: ${path} is not whole:\n${damages.map(d => `  ${d}\n`).join('')}`)
    else
      process.stdout.write(
        `${path} is whole: checkpoint ${checkpoint} of ${pipeline}, ${counted(files.length, 'file')}, ${bytes(size)}, ${count(items)} entries of state\n`,
      )
    return damages.length > 0 ? 1 : 0
  },
}
