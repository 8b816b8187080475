import { systemClock, systemRandom } from '../../embedded/clock.ts'
import type { SavepointPlace } from '../../embedded/run-options.ts'
import type { SavepointManifest } from '../../savepoint/format.ts'
import { isDataFile } from '../../savepoint/names.ts'
import { SnapshotError } from '../../snapshot/error.ts'
import type { Arguments, Command } from '../command.ts'
import { asUsage, UsageError } from '../error.ts'
import { bytes, counted } from '../format.ts'
import { withRun } from '../stack/look.ts'
import { openStack, STACK_FLAGS, type Stack, stackOrigin } from '../stack/stack.ts'
import { takeCheckpoint } from '../stack/take-checkpoint.ts'
import { waiting } from '../stack/waiting.ts'
import { checkStateDirectory } from '../state-directory.ts'
import { savepointPlace } from './place.ts'
import type { TakenSavepoint } from './take.ts'

export const savepointCreate: Command = {
  name: 'savepoint create',
  summary: 'Take a savepoint of a stack, or of a state directory',
  description: `Writes a savepoint: all state of a pipeline as of one checkpoint, in files that need nothing but themselves, with their checksums. It stays until it is deleted, whatever
becomes of the stack or the directory. millrace run FILE --from-snapshot PATH starts a run from it.
Of a stack, a checkpoint is taken now (or the last one stands, if nothing flowed since), and copied while the pipeline goes on. Of a state directory it is the newest checkpoint
that is complete, or checkpoint N: a run takes one at its interval, and a last one when it ends.`,
  positionals: [{ name: 'DIR', unless: 'stack', help: 'the state directory of a run, or DIR@N for its checkpoint N' }],
  flags: {
    ...STACK_FLAGS,
    to: {
      value: 'PATH',
      help: "The savepoint's own directory, or s3://BUCKET/KEY (default, of a stack: savepoints/… in the stack's bucket)",
    },
    json: { help: 'Print what was written as JSON' },
  },
  examples: [
    'millrace savepoint create --stack Shop',
    'millrace savepoint create --stack Shop --to before-the-sale',
    'millrace savepoint create state --to s3://my-savepoints/shop-1',
  ],
  async run(args) {
    const taken = args.text('stack') === undefined ? await ofDirectory(args) : await ofStack(args)
    if (taken.outcome === 'failed') {
      process.stderr.write(`millrace: the checkpoint failed, so there is no savepoint: ${taken.reason}\n`)
      return 1
    }
    if (taken.outcome === 'nothing') {
      process.stderr.write('millrace: there has been no checkpoint yet, and nothing to take one of: there is no savepoint\n')
      return 1
    }
    report(taken, args.has('json'))
    return 0
  },
}

async function ofStack(args: Arguments): Promise<TakenSavepoint> {
  const { control, stack } = await openStack(args)
  const progress = waiting(process.stderr)
  const to = args.text('to')
  const chosen = to === undefined ? undefined : await emptyPlace(to)
  const checkpoint = () => takeCheckpoint(control, stack.checkpoints, systemClock, progress.update)
  const { takeSavepoint } = await import('./take.ts')
  const placeOf = async (n: number) => chosen ?? savepointPlace(defaultPath(stack, n))
  return withRun(stack, (ports, meta) =>
    takeSavepoint(ports, meta, stackOrigin(args.text('stack')!, stack), checkpoint, placeOf),
  ).finally(progress.clear)
}

/** By pipeline, checkpoint and time: `s3://BUCKET/savepoints/shop-12-20260102T030405Z`. */
function defaultPath({ bucket, pipeline }: Stack, checkpoint: number): string {
  const time = new Date(systemClock.now()).toISOString().replace(/[-:]|\.\d+/g, '')
  return `s3://${bucket}/savepoints/${pipeline.replace(/[^A-Za-z0-9_-]/g, '-')}-${checkpoint}-${time}`
}

/** Of a directory whose run goes on, blobs may go while they are copied: then a newer checkpoint is tried. */
const TRIES_MAX = 5

async function ofDirectory(args: Arguments): Promise<TakenSavepoint> {
  const [, directory, n] = /^(.*?)(?:@(\d+))?$/s.exec(args.positionals[0]!)!
  checkStateDirectory(directory!)
  const to = args.text('to')
  if (to === undefined) throw new UsageError('--to PATH is needed: where the savepoint is to lie')
  const place = await emptyPlace(to)
  const { withCheckpoint } = await import('../../embedded/inspect.ts')
  const { writeSavepoint } = await import('../../savepoint/write.ts')
  const origin = { kind: 'directory', name: directory! } as const
  const ports = { clock: systemClock, random: systemRandom }
  const { blobs, close } = await place.open()
  try {
    for (let tries = 1; ; tries++)
      try {
        const manifest = await asUsage(() =>
          withCheckpoint(directory!, n === undefined ? undefined : Number(n), (found, from) =>
            writeSavepoint(found, from, blobs, origin, ports),
          ),
        )
        return { outcome: 'complete', place, manifest }
      } catch (error) {
        const cause = (error as Error).cause
        if (n !== undefined || tries === TRIES_MAX || !(cause instanceof SnapshotError)) throw error
      }
  } finally {
    await close()
  }
}

/** Said before a checkpoint is taken for it. */
async function emptyPlace(path: string): Promise<SavepointPlace> {
  const place = await savepointPlace(path)
  const { blobs, close } = await place.open()
  try {
    const [something] = await blobs.list('')
    if (something !== undefined) {
      const remedy = isDataFile(something) ? `: if it is left of one that was cut off, millrace savepoint delete ${path}` : ''
      throw new UsageError(`--to ${path}: a savepoint needs a place of its own, and ${something} is there already${remedy}`)
    }
    return place
  } finally {
    await close()
  }
}

function report({ place, manifest }: { place: SavepointPlace; manifest: SavepointManifest }, json: boolean): void {
  const { pipeline, run, checkpoint, files } = manifest
  const size = files.reduce((sum, file) => sum + file.bytes, 0)
  const text = json
    ? JSON.stringify({ path: place.name, pipeline, run, checkpoint, files: files.length, bytes: size })
    : `savepoint of checkpoint ${checkpoint} of ${pipeline}: ${place.name} (${counted(files.length, 'file')}, ${bytes(size)})`
  process.stdout.write(`${text}\n`)
}
