import type { StreamRecord } from '../../ports.ts'
import { help } from '../../protocol/help.ts'
import type { Subtask, Undecided } from '../../stage/subtask.ts'
import type { Environment } from './environment.ts'
import { giveUp, isPoison, openTries } from './poison.ts'
import type { ShardTask } from './shard-task.ts'

/** A producer commits a moment after it has sent. Waiting costs as much as working, so it is short: the batch comes again. */
const WAIT_MS_MAX = 2_000
const WAIT_MS = 25
/** For clocks that differ: a frame's age is by Kinesis's clock and this one. */
const SKEW_MS = 15_000

/** A batch of a stage's own stream. Gives the position that is covered. */
export async function deliverFrames(
  environment: Environment,
  task: ShardTask,
  records: readonly StreamRecord[],
): Promise<string> {
  const waiter = openWaiter(environment, task)
  const isolation = openIsolation(environment, task)
  let told = false
  const deliver = async (subtask: Subtask) => {
    if (!told) environment.recorder.count('Replays', await replays(subtask, records))
    told = true
    return subtask.deliver(records)
  }
  for (;;) {
    try {
      const { covered, undecided } = await task.run(deliver)
      if (undecided === undefined) {
        task.abortsInARow = 0
        return covered
      }
      if (!(await waiter.wait(undecided))) return covered
    } catch (error) {
      if (!isPoison(error) || !(await isolation.isolate(error))) throw error
    }
  }
}

/** How many of the records were committed before they came. */
async function replays(subtask: Subtask, records: readonly StreamRecord[]): Promise<number> {
  const { position } = (await subtask.ready()).head.fields
  return records.filter(({ seq }) => seq <= position.seq).length
}

/**
 * Where user code throws on a record of a frame: commits get smaller until the record is alone in one, and is then, after some tries, left out. Everything before it is
 * committed by then, so the position is enough to know it by.
 */
function openIsolation(environment: Environment, task: ShardTask) {
  const tries = openTries(environment.ports.clock)
  return {
    /** True: go on. False: no record is at fault but a timer, which can't be left out. */
    async isolate(error: Error): Promise<boolean> {
      if (task.limit > 1) {
        task.shrink()
        return true
      }
      const { entered } = task.subtask
      if (entered === undefined) return false
      const reason = await tries.failed(entered.id, error)
      if (reason === undefined) return true
      const { id, ...record } = entered
      const { shard } = task
      const stage = task.subtask.at.stage.id
      await giveUp(environment, `stage '${stage}'`, `${stage}/${shard}/${id}`, { stage, shard, reason, ...record }, { shard })
      task.skip(id)
      return true
    },
  }
}

/** In front of a frame whose fate nobody knows yet (protocol.md, B5). False: this invocation has waited long enough. */
function openWaiter({ ports, recorder, settings, deadline, budgetMs }: Environment, task: ShardTask) {
  const { clock, log, random } = ports
  const until = Math.min(clock.now() + WAIT_MS_MAX, clock.now() + (deadline - clock.now()) / 2)
  let pause = WAIT_MS
  return {
    async wait({ log: producer, version, arrivedAt }: Undecided): Promise<boolean> {
      // B3: an attempt sends and commits within one invocation, so a frame that is older has lost its function.
      const bound = ((settings.timeoutMs ?? budgetMs) + SKEW_MS) * 2 ** task.abortsInARow
      if (clock.now() - arrivedAt > bound) {
        const aborts = await help(log, random, producer, version)
        task.abortsInARow += aborts
        recorder.count('Aborts', aborts)
        return clock.now() < until
      }
      if (clock.now() + pause > until) return false
      await clock.sleep(pause)
      pause *= 2
      return true
    },
  }
}
