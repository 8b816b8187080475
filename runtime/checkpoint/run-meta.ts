import { MillraceError } from '../errors.ts'
import type { Ports } from '../ports.ts'
import { LostRaceError } from '../protocol/errors.ts'
import type { StateBackendName } from '../state/backend.ts'
import { pack, unpack } from '../state/codec.ts'

/** What a run is of. */
export interface RunKind {
  readonly pipeline: string
  /** The stages, operators and parallelism that the state was written by. */
  readonly shape: string
  /** Splits of each source, by its name: a position belongs to a split. */
  readonly splits: Readonly<Record<string, readonly string[]>>
  /** Where its keyed state lies, for its whole life. Absent of a run: in a table; of what is wanted: where that lies that is there, or in a table. */
  readonly stateBackend?: StateBackendName
}

export interface Origin {
  readonly run: string
  readonly checkpoint: number
}

/** What a state directory, or the state of a stack, belongs to. */
export interface RunMeta extends RunKind {
  readonly run: string
  /** Epoch ms. */
  readonly createdAt: number
  /** Its checkpoints hold the state, so that another run can start from them. */
  readonly snapshots: boolean
  /** The checkpoint of another run that it began with. */
  readonly origin?: Origin
}

/** The state that is there was written by another pipeline, plan or input. */
export class StateMismatchError extends MillraceError {
  override readonly name = 'StateMismatchError'
}

/** One slot for each run that the directory has had, and for each shape that it has adopted; the last one is the run. */
export const META = 'meta'
/** One slot for each restore that was begun. Its run gets a slot in META when it is whole. */
export const RESTORING = 'restoring'
const PAGE = 500

/** A restore that was begun. */
export interface Attempt {
  readonly run: string
  /** The run that it is to take the place of; undefined: there is none. */
  readonly instead: string | undefined
  /** As it was asked for; undefined: the newest one. */
  readonly checkpoint: number | undefined
}

/**
 * From now on `run` in `where` is of another shape, whose values are of other versions, and nothing else. Idempotent.
 * @throws LostRaceError when another run has taken its place, which may be of a shape that this one has nothing to do with
 */
export async function adoptShape(ports: Pick<Ports, 'log'>, run: string, shape: string, where: string): Promise<void> {
  await refuseInterrupted(ports, where)
  const slots = await readAll<RunMeta>(ports, META)
  const meta = slots.at(-1)!
  if (meta.run !== run) throw new LostRaceError(`run ${meta.run} has taken the place of ${run} in ${where}`)
  if (meta.shape === shape) return
  const adopted: RunMeta = { ...meta, shape }
  if (!(await ports.log.putIfAbsent(META, slots.length + 1, pack(adopted)))) await adoptShape(ports, run, shape, where)
}

/**
 * The run of a stack, for whichever of its functions comes first: the one that is there, or one made now, of the splits that there are now. From then on the run's
 * splits hold, so nobody has to list them again.
 */
export async function joinRun(
  ports: Pick<Ports, 'log' | 'clock' | 'random'>,
  wanted: Omit<RunKind, 'splits'>,
  listSplits: () => Promise<RunKind['splits']>,
): Promise<RunMeta> {
  await refuseInterrupted(ports, 'this stack')
  let meta = await readRun(ports)
  if (meta === undefined) {
    const splits = await listSplits()
    const fresh: RunMeta = { ...wanted, splits, run: ports.random.id(), createdAt: ports.clock.now(), snapshots: true }
    await ports.log.putIfAbsent(META, 1, pack(fresh))
    meta = (await readRun(ports))!
  }
  checkBackend(meta, wanted, 'the state of this stack', 'or deploy a stack of its own')
  if (meta.pipeline === wanted.pipeline && meta.shape === wanted.shape) return meta
  // Seldom: it is loaded then.
  const { takeOver } = await import('./take-over.ts')
  return takeOver(ports, meta, wanted)
}

/**
 * A new run in the place of the directory's, begun by `make`. If the process dies meanwhile, the next restore begins another: what it starts from may be another checkpoint by
 * then, and a run is of one only.
 */
export async function openRestored(
  ports: Ports,
  wanted: RunKind,
  checkpoint: number | undefined,
  make: (run: string) => Promise<Origin | undefined>,
): Promise<RunMeta> {
  const instead = (await readRun(ports))?.run
  const run = ports.random.id()
  const attempt: Attempt = { run, instead, checkpoint }
  const number = (await readAll(ports, RESTORING)).length + 1
  if (!(await ports.log.putIfAbsent(RESTORING, number, pack(attempt)))) throw new LostRaceError('another restore has begun here')
  const origin = await make(run)
  const meta: RunMeta = { ...wanted, run, createdAt: ports.clock.now(), snapshots: true, ...(origin && { origin }) }
  await putRun(ports, instead, meta)
  return meta
}

/** The run that was there may have adopted another shape meanwhile. @throws LostRaceError when it is another one */
async function putRun(ports: Pick<Ports, 'log'>, instead: string | undefined, meta: RunMeta): Promise<void> {
  for (;;) {
    const slots = await readAll<RunMeta>(ports, META)
    if (slots.at(-1)?.run !== instead) throw new LostRaceError('another run has begun here')
    if (await ports.log.putIfAbsent(META, slots.length + 1, pack(meta))) return
  }
}

/** The restore that has begun, and has not ended with a run of its own or another's. */
async function interrupted(ports: Pick<Ports, 'log'>): Promise<Attempt | undefined> {
  const attempt = (await readAll<Attempt>(ports, RESTORING)).at(-1)
  return attempt !== undefined && attempt.instead === (await readRun(ports))?.run ? attempt : undefined
}

/** A restore has begun in `where`, and there is no run of it: the one before has ended, and to go on with it would be to lose what the restore is for. @throws StateMismatchError */
export async function refuseInterrupted(ports: Pick<Ports, 'log'>, where: string): Promise<void> {
  const attempt = await interrupted(ports)
  if (attempt === undefined) return
  const from = attempt.checkpoint === undefined ? 'the newest checkpoint' : `checkpoint ${attempt.checkpoint}`
  throw new StateMismatchError(`starting from ${from} was interrupted in ${where}: give the same command again`)
}

/** Whether no other restore has begun since the one of `run`. @throws LostRaceError */
export async function checkNewestRestore(ports: Pick<Ports, 'log'>, run: string): Promise<void> {
  const attempt = (await readAll<Attempt>(ports, RESTORING)).at(-1)
  if (attempt !== undefined && attempt.run !== run) throw new LostRaceError('another restore has begun here since')
}

/** Whether it was to go back to its own newest checkpoint, and died within that. */
export async function isGoingBack(ports: Ports): Promise<boolean> {
  const attempt = await interrupted(ports)
  return attempt?.instead !== undefined && attempt.checkpoint === undefined
}

/** Whether the run was once of this shape, and has not another layout since (`adoptShape`). */
export async function hadShape(ports: Pick<Ports, 'log'>, { run }: RunMeta, shape: string): Promise<boolean> {
  return (await readAll<RunMeta>(ports, META)).some(meta => meta.run === run && meta.shape === shape)
}

export async function readRun(ports: Pick<Ports, 'log'>): Promise<RunMeta | undefined> {
  return (await readAll<RunMeta>(ports, META)).at(-1)
}

/** All slots of `META` or `RESTORING`. */
export async function readAll<T>(ports: Pick<Ports, 'log'>, log: string): Promise<T[]> {
  const all: T[] = []
  for (;;) {
    const page = await ports.log.range(log, all.length + 1, PAGE)
    all.push(...page.map(({ item }) => unpack<T>(item)))
    if (page.length < PAGE) return all
  }
}

/** Sources that both have read the same. */
export function checkSplits(found: Pick<RunKind, 'splits'>, wanted: Pick<RunKind, 'splits'>, what: string, remedy: string): void {
  const names = Object.keys(wanted.splits).filter(n => found.splits[n] !== undefined)
  const name = names.find(n => JSON.stringify(found.splits[n]) !== JSON.stringify(wanted.splits[n]))
  if (name === undefined) return
  const list = (splits: readonly string[] | undefined) => (splits ?? []).join(', ') || 'nothing'
  throw new StateMismatchError(
    `source '${name}' read ${list(found.splits[name])} when ${what} was made, and should now read ${list(wanted.splits[name])}: ${remedy}`,
  )
}

const NEW_RUN = 'or start a new run from one of its checkpoints'

/** A run keeps its state backend: another one begins with a run of its own. */
export function checkBackend(found: RunMeta, wanted: Pick<RunKind, 'stateBackend'>, what: string, remedy = NEW_RUN): void {
  const [has, asked] = [found.stateBackend ?? 'table', wanted.stateBackend]
  if (asked === undefined || has === asked) return
  throw new StateMismatchError(
    `${what} was made with the state backend '${has}', not '${asked}': set stateBackend to '${has}', ${remedy}`,
  )
}

/** State is of one pipeline for ever. */
export function checkPipeline(
  found: Pick<RunKind, 'pipeline'>,
  wanted: Pick<RunKind, 'pipeline'>,
  what: string,
  remedy: string,
): void {
  if (found.pipeline !== wanted.pipeline)
    throw new StateMismatchError(`${what} belongs to pipeline '${found.pipeline}', not '${wanted.pipeline}': ${remedy}`)
}
