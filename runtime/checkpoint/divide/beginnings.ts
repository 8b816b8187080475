import type { Blobs } from '../../ports.ts'
import type { Beginning } from '../beginning.ts'
import { divideChannels } from './channels.ts'
import type { Former } from './former.ts'
import { headOf, versionOf } from './heads.ts'

/** How each subtask begins; its state goes by itself (state.ts). */
export async function dividedBeginnings(former: Former, from: Pick<Blobs, 'get'>): Promise<Beginning[]> {
  const version = versionOf(former)
  const beginnings: Beginning[] = []
  for (const at of former.topology.stages) {
    for (let shard = 0; shard < at.parallelism; shard++) {
      const channelState = await divideChannels(former, at, shard, from)
      beginnings.push({
        stage: at.stage.index,
        shard,
        version,
        head: headOf(former, at, shard),
        channelState,
        states: [],
        takes: () => false,
      })
    }
  }
  return beginnings
}
