import fc from 'fast-check'
import type { Sink, SinkState, SinkWriter } from '../../runtime/connectors/sink.ts'
import type { Blobs } from '../../runtime/ports.ts'

export const SUBTASKS = 2

/** What a test writes: unique, and it says by whom and when. */
export interface Row {
  readonly id: string
  readonly subtask: number
  readonly key: string
}

/** Fails with a chance of `rate` before or after each call: what the caller sees in both cases. */
export interface Faults {
  rate: number
  readonly random: () => number
}

export class Killed extends Error {}

export async function failing<T>({ rate, random }: Faults, work: () => Promise<T>): Promise<T> {
  if (random() < rate) throw new Killed('before')
  const result = await work()
  if (random() < rate) throw new Killed('after')
  return result
}

export function faultyBlobs(blobs: Blobs, faults: Faults): Blobs {
  return {
    put: (key, data) => failing(faults, () => blobs.put(key, data)),
    putIfAbsent: (key, data) => failing(faults, () => blobs.putIfAbsent(key, data)),
    get: key => failing(faults, () => blobs.get(key)),
    list: prefix => failing(faults, () => blobs.list(prefix)),
    delete: key => failing(faults, () => blobs.delete(key)),
  }
}

interface Checkpoint {
  readonly n: number
  readonly parts: readonly (SinkState | undefined)[]
  /** By subtask: how many of its rows lie before the cut. */
  readonly rows: readonly number[]
}

/**
 * The least engine that a transactional sink needs, in memory: subtasks with commits, some of which fail and are tried again by another writer, checkpoints over all of
 * them, some of which fail, and the sinks' commits, which may be interrupted, and be repeated or left to the next one.
 */
export class CheckpointedRun {
  readonly run: string
  readonly complete: Checkpoint[] = []
  /** What the commits that won have written, by subtask. */
  readonly committed: Row[][] = Array.from({ length: SUBTASKS }, () => [])
  private readonly sink: Sink<Row>
  private readonly staging: Blobs
  private readonly faults: Faults
  private readonly states: (SinkState | undefined)[]
  private readonly versions: number[]
  private readonly writers: (SinkWriter<Row> | undefined)[] = []
  private checkpoint: number
  private attempts = 0

  constructor(sink: Sink<Row>, run: string, staging: Blobs, faults: Faults, states: (SinkState | undefined)[], from = 0) {
    this.sink = sink
    this.run = run
    this.staging = staging
    this.faults = faults
    this.states = states
    this.checkpoint = from
    this.versions = states.map(() => from * 10)
  }

  private get context() {
    return { run: this.run, pipeline: 'p', operatorId: 'sink', parallelism: SUBTASKS, staging: this.staging }
  }

  /** One commit of a subtask. It may fail before, in or after the flush; then somebody else has written other rows in vain. */
  async commit(subtask: number, size: number, cut?: number): Promise<void> {
    const version = this.versions[subtask]! + 1
    for (;;) {
      const attempt = `a${++this.attempts}`
      const rows = Array.from({ length: size }, (_, i) => ({
        id: `${this.run}/${subtask}/${version}/${attempt}/${i}`,
        subtask,
        key: `k${(version + i) % 3}`,
      }))
      try {
        this.writers[subtask] ??= await this.sink.open({ ...this.context, subtask }, this.states[subtask])
        for (const row of rows) this.writers[subtask].write(row, { timestamp: 0, key: row.key })
        const identity = { ...this.context, subtask, version, attempt, checkpoint: cut ?? this.checkpoint + 1 }
        const flush = () => this.writers[subtask]!.flush(identity, cut === undefined ? undefined : { checkpoint: cut })
        const state = size === 0 && cut === undefined ? undefined : await failing(this.faults, flush)
        if (state !== undefined) this.states[subtask] = state
        this.versions[subtask] = version
        this.committed[subtask]!.push(...rows)
        return
      } catch (error) {
        if (!isKilled(error)) throw error
        this.writers[subtask] = undefined
      }
    }
  }

  /** All subtasks cut; `complete`: and it is decided so. */
  async cut(complete: boolean, sizes: readonly number[]): Promise<void> {
    const n = ++this.checkpoint
    for (let subtask = 0; subtask < SUBTASKS; subtask++) await this.commit(subtask, sizes[subtask]!, n)
    if (complete) this.complete.push({ n, parts: [...this.states], rows: this.committed.map(rows => rows.length) })
  }

  /** The sinks' commit of the last complete checkpoint. False: it was interrupted. */
  commitSinks(): Promise<boolean> {
    const last = this.complete.at(-1)
    return this.tried(async () => {
      if (last !== undefined) await this.sink.commit!(this.run, last.n, last.parts, this.context)
    })
  }

  /** A run that goes on from a complete checkpoint of this one. */
  async restored(run: string, index: number, staging: Blobs): Promise<CheckpointedRun> {
    const { n, parts } = this.complete[index]!
    let states: readonly (SinkState | undefined)[] = []
    while (
      !(await this.tried(async () => (states = await this.sink.restore!(this.run, n, parts, { ...this.context, fork: false }))))
    );
    return new CheckpointedRun(this.sink, run, staging, this.faults, [...states], n)
  }

  /** Rows up to a complete checkpoint. */
  upTo(index: number): Row[] {
    const { rows } = this.complete[index]!
    return this.committed.flatMap((all, subtask) => all.slice(0, rows[subtask]))
  }

  private async tried(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      if (!isKilled(error)) throw error
      return false
    }
  }
}

function isKilled(error: unknown): boolean {
  return error instanceof Killed || (error as Error | undefined)?.cause instanceof Killed
}

export const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('commit' as const), subtask: fc.nat(SUBTASKS - 1), size: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('cut' as const), complete: fc.boolean(), size: fc.nat(2) }) },
  // Once, twice at the same time, or not at all: then the next one has it all to do.
  { weight: 3, arbitrary: fc.record({ what: fc.constant('sinks' as const), times: fc.integer({ min: 1, max: 2 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

export async function play(run: CheckpointedRun, steps: readonly Step[]): Promise<void> {
  for (const s of steps) {
    if (s.what === 'commit') await run.commit(s.subtask, s.size)
    else if (s.what === 'cut') await run.cut(s.complete, [s.size, 1])
    else await Promise.all(Array.from({ length: s.times }, () => run.commitSinks()))
  }
}

/** The end of the input: the last checkpoint, and its commit, however many tries it takes. */
export async function finish(run: CheckpointedRun): Promise<void> {
  await run.cut(true, [1, 1])
  while (!(await run.commitSinks()));
}
