import type { HandClock } from './clock.ts'
import type { EnvironmentOptions } from './environment.ts'
import { perform, type Task, untilDone } from './tasks.ts'

/** Has the subtasks work, one after the other. */
export interface Driver {
  /** Until nothing moves any more. */
  settle(): Promise<void>
  /** Lets time pass up to `to`, epoch ms, timer by timer. */
  advance(to: number): Promise<void>
}

const FRAMES = 100

export function openDriver(options: EnvironmentOptions, clock: HandClock, tasks: readonly Task[]): Driver {
  const { topology, ports, batchSize } = options

  /** One batch. False: there is none. */
  async function step(task: Task): Promise<boolean> {
    const { split } = task
    if (split === undefined) return deliver(task)
    const taken = await perform(options, task, async subtask => {
      const { working } = await subtask.ready()
      if (working.sourceDone || !split.hasMore(working.source)) return false
      return subtask.deliverSource(position => split.read(position, batchSize))
    })
    if (taken) task.heardAt = clock.now()
    return taken
  }

  async function deliver(task: Task): Promise<boolean> {
    const stream = topology.stream(task.at.stage.index)
    const records = await ports.streams.poll(stream, task.shard, task.cursor, FRAMES)
    if (records.length === 0) return false
    const { covered } = await perform(options, task, subtask => subtask.deliver(records))
    // A frame that is undecided stays where it is: its producer's batch failed, and is to be tried again.
    if (covered === '' || covered === task.cursor) return false
    task.cursor = covered
    return true
  }

  /** Moves what there is to move. */
  async function flow(): Promise<void> {
    for (let moved = true; moved; ) {
      moved = false
      for (const task of tasks) while (await step(task)) moved = true
    }
  }

  /** When something of a task is due by the clock, epoch ms. */
  async function dueAt(task: Task): Promise<number> {
    const live = await untilDone(options, task, subtask => subtask.ready())
    return Math.min(task.environment.subtask.nextProcessingTimer, live.idleSent ? Number.POSITIVE_INFINITY : idleAt(task))
  }

  function idleAt({ at, split, heardAt }: Task): number {
    const idleAfter = at.stage.source?.source?.watermark.idleAfter
    return idleAfter === undefined || split!.ended ? Number.POSITIVE_INFINITY : heardAt + idleAfter
  }

  /** What is due now. False: nothing was. */
  async function tick(): Promise<boolean> {
    let ticked = false
    for (const task of tasks) {
      if ((await dueAt(task)) > clock.now()) continue
      const isIdle = idleAt(task) <= clock.now()
      await perform(options, task, subtask => subtask.tick(isIdle))
      ticked = true
    }
    return ticked
  }

  async function settle(): Promise<void> {
    do await flow()
    while (await tick())
  }

  return {
    settle,
    async advance(to) {
      for (;;) {
        const due = await Promise.all(tasks.map(dueAt))
        const next = Math.min(to, ...due)
        await clock.pass(next)
        await settle()
        if (next === to) return
      }
    },
  }
}
