import type { SourcePosition } from '../../connectors/source.ts'
import { OVER } from '../../over.ts'
import { DeadlineError, LostRaceError, ShardClosedError } from '../../protocol/errors.ts'
import { defaultLimits } from '../../stage/attempt.ts'
import { Subtask } from '../../stage/subtask.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { StaleViewError } from '../../state/base.ts'
import { recordCommit } from './commit-metrics.ts'
import type { Environment } from './environment.ts'

const TRIES_MAX = 100
const RACE_WAIT_MS = 20
const LEARN_WAIT_MS = 200

/** One shard in one warm environment: its subtask, and what was learned about how much of it fits in one invocation. */
export interface ShardTask {
  readonly shard: number
  /** Another one after time was up. */
  readonly subtask: Subtask
  /** The position in its stream up to which this environment knows it to be committed; '' before the first, and of sources. */
  readonly covered: string
  /** The same of a source: as its connector keeps positions. */
  readonly source: SourcePosition | undefined
  /** Records that a commit may have now. */
  readonly limit: number
  /** Half of that from the next try on; each commit doubles it again. */
  shrink(): void
  /** Leaves out a record of a frame: see Subtask.skipped. */
  skip(id: string): void
  /** Aborts that this shard has written for dead producers since its last whole batch. */
  abortsInARow: number
  /**
   * Does work on the subtask. Races are lost by design, now and then, and views get stale: then the log is read again and `work` repeated.
   * @throws DeadlineError when time is up, also when user code waits for something: what is under way is given up then, and never commits
   */
  run<T>(work: (subtask: Subtask) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export function openShardTask(environment: Environment, topology: Topology, at: StageTopology, shard: number): ShardTask {
  const { clock, random } = environment.ports
  let covered = ''
  let source: SourcePosition | undefined
  let { recordsMax } = defaultLimits
  const skipped = new Set<string>()
  let current = open()

  function open() {
    const state = { givenUp: false }
    const limits = {
      ...defaultLimits,
      get recordsMax() {
        return recordsMax
      },
      // Of its own: what was given up may thaw in a later invocation, which has more time.
      deadline: () => (state.givenUp ? 0 : environment.deadline),
    }
    const onCommit = (done: Subtask) => {
      const { position, source: committed } = done.current!.head.fields
      if (position.seq > covered) covered = position.seq
      source = committed
      recordsMax = Math.min(defaultLimits.recordsMax, recordsMax * 2)
      recordCommit(environment.recorder, clock, done)
    }
    const subtask = new Subtask(topology, at, shard, environment.ports, limits, onCommit)
    subtask.skipped = skipped
    return { state, subtask }
  }

  async function inTime<T>(work: (subtask: Subtask) => Promise<T>): Promise<T> {
    const { subtask, state } = current
    const done = new AbortController()
    const timeUp = clock.sleep(environment.deadline - clock.now(), done.signal).then(() => {
      if (done.signal.aborted) return undefined as never
      state.givenUp = true
      current = open()
      throw new DeadlineError(`no time is left in this invocation of ${subtask.log}; its batch is delivered again`)
    })
    try {
      return await Promise.race([work(subtask), timeUp])
    } finally {
      done.abort(OVER)
    }
  }

  /** A shard that frames were sent to was split or merged (protocol.md, F1): the next attempt is for those that are open. */
  async function planAnew(): Promise<void> {
    const { learnLayouts } = await import('./learn-layouts.ts')
    // A stream tells of it a moment later than it does it.
    if (!(await learnLayouts(environment, topology, topology.consumersOf(at.stage.index)))) await clock.sleep(LEARN_WAIT_MS)
  }

  return {
    shard,
    abortsInARow: 0,
    get subtask() {
      return current.subtask
    },
    get limit() {
      return recordsMax
    },
    shrink() {
      recordsMax = Math.max(1, recordsMax >> 1)
    },
    skip(id) {
      skipped.add(id)
    },
    get covered() {
      return covered
    },
    get source() {
      return source
    },
    async run(work) {
      for (let tries = 1; ; tries++) {
        try {
          return await inTime(work)
        } catch (error) {
          if (error instanceof ShardClosedError && tries < TRIES_MAX) {
            await planAnew()
            continue
          }
          // So that the next invocation gets further: a commit of all this took too long.
          if (error instanceof DeadlineError) recordsMax = Math.max(1, recordsMax >> 4)
          if (!(error instanceof LostRaceError || error instanceof StaleViewError) || tries === TRIES_MAX) throw error
          environment.recorder.count('LostRaces', 1)
          await clock.sleep(random.fraction() * RACE_WAIT_MS)
        }
      }
    },
    close: () => current.subtask.close(),
  }
}
