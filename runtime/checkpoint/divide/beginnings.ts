import type { Blobs } from '../../ports.ts'
import type { Beginning } from '../beginning.ts'
import { divideChannels, refuseLost } from './channels.ts'
import type { Former } from './former.ts'
import { headOf, versionOf } from './heads.ts'

/**
 * How each subtask begins with a checkpoint of other stages, or of other numbers of subtasks: each operator that is still there goes on with its state, wherever it ran. The state goes by itself (state.ts).
 * @throws StateMismatchError records were on their way that have nowhere to go
 */
export async function dividedBeginnings(former: Former, from: Pick<Blobs, 'get'>): Promise<Beginning[]> {
  await refuseLost(former, from)
  const version = versionOf(former)
  const beginnings: Beginning[] = []
  for (const at of former.topology.stages) {
    for (let shard = 0; shard < at.parallelism; shard++) {
      const channelState = await divideChannels(former, at, shard, from)
      beginnings.push({ stage: at.stage.index, shard, version, head: headOf(former, at, shard), channelState, state: undefined })
    }
  }
  return beginnings
}
