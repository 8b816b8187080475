import type { Blobs } from '../../ports.ts'
import { METADATA } from '../../savepoint/names.ts'
import type { Verified } from '../../savepoint/verify.ts'
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
    const { blobs, close } = await (await existingSavepoint(path)).open()
    const verified = await verify(blobs, path).finally(close)
    if (!('manifest' in verified)) {
      if (args.has('json')) process.stdout.write(`${JSON.stringify({ path, damages: verified.damages })}\n`)
      else process.stderr.write(notWhole(path, verified.damages))
      return 1
    }
    const { manifest, items, damages } = verified
    const { pipeline, checkpoint, files } = manifest
    const size = files.reduce((sum, file) => sum + file.bytes, 0)
    if (args.has('json'))
      process.stdout.write(
        `${JSON.stringify({ path, pipeline, checkpoint, files: files.length, bytes: size, items, damages })}\n`,
      )
    else if (damages.length > 0) process.stderr.write(notWhole(path, damages))
    else
      process.stdout.write(
        `${path} is whole: checkpoint ${checkpoint} of ${pipeline}, ${counted(files.length, 'file')}, ${bytes(size)}, ${count(items)} entries of state\n`,
      )
    return damages.length > 0 ? 1 : 0
  },
}

/** Without its manifest nothing tells what else there should be: then that alone is what is damaged. @throws UsageError when there is no savepoint */
async function verify(blobs: Blobs, path: string): Promise<Verified | Pick<Verified, 'damages'>> {
  const { verifySavepoint } = await import('../../savepoint/verify.ts')
  const { SnapshotError } = await import('../../snapshot/error.ts')
  try {
    return await verifySavepoint(blobs, path)
  } catch (error) {
    if (error instanceof SnapshotError && (await blobs.get(METADATA)) !== undefined) return { damages: [error.message] }
    return asUsage(() => Promise.reject(error))
  }
}

function notWhole(path: string, damages: readonly string[]): string {
  return `millrace: ${path} is not whole:\n${damages.map(d => `  ${d}\n`).join('')}`
}
