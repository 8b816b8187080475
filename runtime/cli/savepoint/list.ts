import type { Command } from '../command.ts'
import { bytes, columns } from '../format.ts'
import { openStack, STACK_FLAGS } from '../stack/stack.ts'
import { isSavepoint, savepointPlace, savepointsBelow } from './place.ts'

interface Listed {
  readonly path: string
  readonly pipeline?: string
  readonly checkpoint?: number
  /** Epoch ms. */
  readonly takenAt?: number
  readonly bytes?: number
  /** Why nothing is known of it. */
  readonly damage?: string
}

export const savepointList: Command = {
  name: 'savepoint list',
  summary: 'List savepoints',
  description: `Lists the savepoints right below a directory or an s3:// path, or, with --stack, those in the stack's own bucket. The oldest of each pipeline come first.`,
  positionals: [{ name: 'PATH', unless: 'stack', help: 'a directory of savepoints, or s3://BUCKET/KEY' }],
  flags: { ...STACK_FLAGS, json: { help: 'Print the list as JSON' } },
  examples: ['millrace savepoint list --stack Shop', 'millrace savepoint list savepoints --json'],
  async run(args) {
    const path =
      args.text('stack') === undefined ? args.positionals[0]! : `s3://${(await openStack(args)).stack.bucket}/savepoints`
    const found: Listed[] = []
    for (const at of await savepointsBelow(path)) found.push(await look(at))
    found.sort((a, b) => compare(a.pipeline ?? '', b.pipeline ?? '') || (a.takenAt ?? 0) - (b.takenAt ?? 0))
    if (args.has('json')) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
    else if (found.length === 0) process.stdout.write(`no savepoints below ${path}${itself(path)}\n`)
    else process.stdout.write(`${columns([['pipeline', 'checkpoint', 'taken', 'size', 'path', ''], ...found.map(row)])}\n`)
    return 0
  },
}

/** A savepoint's own path, where that of the directory around it is meant. */
function itself(path: string): string {
  return !path.startsWith('s3://') && isSavepoint(path) ? `, which is one itself: millrace savepoint inspect ${path}` : ''
}

async function look(path: string): Promise<Listed> {
  const [{ readSavepoint }, { SnapshotError }] = await Promise.all([
    import('../../savepoint/format.ts'),
    import('../../snapshot/error.ts'),
  ])
  const { blobs, close } = await (await savepointPlace(path)).open()
  try {
    const { pipeline, checkpoint, takenAt, files } = await readSavepoint(blobs, path)
    return { path, pipeline, checkpoint, takenAt, bytes: files.reduce((sum, file) => sum + file.bytes, 0) }
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error
    return { path, damage: error.message }
  } finally {
    await close()
  }
}

function row({ path, pipeline = '-', checkpoint, takenAt, bytes: size, damage = '' }: Listed): string[] {
  const taken = takenAt === undefined ? '-' : new Date(takenAt).toISOString()
  return [pipeline, `${checkpoint ?? '-'}`, taken, size === undefined ? '-' : bytes(size), path, damage]
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
