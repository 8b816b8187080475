import type { CommitLog } from '../../runtime/ports.ts'
import { now } from './settings.ts'

/** One death of an environment: told to come, and when it came. */
export interface Death {
  due: boolean
  at: number | undefined
}

/**
 * A log of which one call ends in the death of its caller, when that is due: the put of a commit into `victim`. There is no worse moment: all of the batch is done, and
 * none of it counts.
 */
export function deadlyLog(log: CommitLog, victim: string, death: Death, kill: () => void): CommitLog {
  return {
    ...log,
    putIfAbsent(name, version, item) {
      if (name !== victim || !death.due || death.at !== undefined) return log.putIfAbsent(name, version, item)
      death.at = now()
      kill()
      return new Promise(() => {})
    },
  }
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
