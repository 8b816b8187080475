import type { RestoredRun, RestoreEvent } from '../../aws/functions/restore-run.ts'
import { SNAPSHOT_COPIES } from '../../aws/names.ts'
import { readRun, refuseInterrupted } from '../../checkpoint/run-meta.ts'
import { within } from '../../connectors/within.ts'
import type { Ports } from '../../ports.ts'
import { asUsage, UsageError } from '../error.ts'
import { type Control, FunctionFailedError } from './control.ts'
import type { FoundSnapshot, Snapshot } from './snapshot.ts'
import { type Stack, sourceStreams } from './stack.ts'

export interface RestoreOptions {
  readonly newInput: boolean
  readonly replace: boolean
  readonly allowDrop: boolean
}

export interface Restored {
  /** What it began with, for people. */
  readonly from: string
  /** It had begun with that before, and goes on. */
  readonly resumed: boolean
}

/** What the functions refuse, and would again. */
const REFUSALS = ['RestoreError', 'StateMismatchError', 'SnapshotError', 'PositionError', 'PositionExpiredError']

/**
 * Has a stack that is stopped begin a new run from a snapshot. It does not start it.
 * @throws UsageError when it runs, or can't begin with that
 */
export async function restoreStack(
  control: Pick<Control, 'mappingState' | 'invoke'>,
  stack: Stack,
  ports: Ports,
  snapshot: Snapshot,
  options: RestoreOptions,
  tell: (what: string) => void,
): Promise<Restored> {
  await refuseRunning(control, stack)
  const restore = async (from: RestoreEvent['from'], newInput: boolean) => {
    tell('the state is restored')
    const event: RestoreEvent = { step: 'restore', from, newInput, replace: options.replace, allowDrop: options.allowDrop }
    return refusals(() => control.invoke(stack.checkpointFunction, event) as Promise<RestoredRun>)
  }
  if (snapshot.own) {
    const from = snapshot.checkpoint === undefined ? {} : { checkpoint: snapshot.checkpoint }
    const restored = await restore(from, options.newInput)
    return { from: `its checkpoint ${restored.checkpoint}`, resumed: false }
  }
  return snapshot.open(async found => {
    const { name, run, checkpoint } = found
    const there = await readRun(ports)
    if (!options.replace && there?.origin?.run === run && there.origin.checkpoint === checkpoint) {
      await asUsage(() => refuseInterrupted(ports, 'this stack'))
      return { from: name, resumed: true }
    }
    const newInput = options.newInput || found.takenFrom.kind !== 'stack'
    if (!newInput) checkStreams(stack, found)
    const prefix = `${SNAPSHOT_COPIES}${ports.random.id()}/`
    const copies = within(ports.blobs, prefix)
    tell('the snapshot is copied')
    try {
      await found.copyTo(copies)
      await restore({ savepoint: prefix, name }, newInput)
      return { from: name, resumed: false }
    } finally {
      for (const key of await copies.list('')) await copies.delete(key)
    }
  })
}

async function refuseRunning(control: Pick<Control, 'mappingState'>, { stages, pipeline }: Stack): Promise<void> {
  const states = await Promise.all(Object.values(stages).map(({ mapping }) => control.mappingState(mapping)))
  if (states.every(state => state === 'Disabled')) return
  throw new UsageError(
    `${pipeline} runs, and starts from a snapshot only when it is stopped: give millrace stop first, with --no-checkpoint if its state is not to be kept`,
  )
}

/** Positions are of a stream: in another one, they are nowhere. */
function checkStreams(stack: Stack, { name, takenFrom }: FoundSnapshot): void {
  for (const [stage, stream] of Object.entries(sourceStreams(stack))) {
    const before = takenFrom.streams?.[stage]
    if (before !== stream)
      throw new UsageError(
        `${stage} reads stream ${stream}, but read ${before === undefined ? 'something else' : `stream ${before}`} when ${name} was made: with --new-input, only the state is taken, and the sources read all that their streams have`,
      )
  }
}

async function refusals<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FunctionFailedError && REFUSALS.includes(error.type))
      throw new UsageError(error.reason, { cause: error })
    throw error
  }
}
