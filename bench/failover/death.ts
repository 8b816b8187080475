import type { CommitLog } from '../../runtime/ports.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import { now } from './settings.ts'

/** One death of an environment: told to come, and when it came. */
export interface Death {
  due: boolean
  at: number | undefined
}

/**
 * A log of which one call ends in the death of its caller, when that is due: the put of a commit into `victim` that has taken records. There is no worse moment: all of the batch is done, and
 * none of it counts.
 */
export function deadlyLog(log: CommitLog, victim: string, death: Death, kill: () => void): CommitLog {
  let committed = 0
  return {
    ...log,
    async putIfAbsent(name, version, item) {
      const taken = name === victim ? recordsIn(item) : 0
      if (!death.due || death.at !== undefined || taken <= committed) {
        const put = await log.putIfAbsent(name, version, item)
        if (put) committed = Math.max(committed, taken)
        return put
      }
      death.at = now()
      kill()
      return new Promise(() => {})
    },
  }
}

/** Up to a commit, from the beginning; 0: it is an abort. */
function recordsIn(item: Uint8Array): number {
  const decoded = decodeItem(item)
  return decoded.kind === 'abort' ? 0 : decoded.head.counts.recordsIn
}

/** A log that tells of each slot that is written. */
export function noticedLog(log: CommitLog, written: (name: string) => void): CommitLog {
  return {
    ...log,
    async putIfAbsent(name, version, item) {
      const put = await log.putIfAbsent(name, version, item)
      if (put) written(name)
      return put
    },
  }
}
