import { resolve } from 'node:path'
import type { Clearing, Clock, Ports, Random } from '../ports.ts'
import { embeddedBlobs } from './blobs.ts'
import { embeddedClearing } from './clearing.ts'
import { systemClock, systemRandom } from './clock.ts'
import { memoryDatabase } from './database.ts'
import { embeddedLog } from './log.ts'
import { memoryStreams } from './memory-streams.ts'
import { embeddedStore } from './store.ts'

export interface EmbeddedPorts extends Ports {
  /** Where the state is durable, absolute; undefined: in memory. */
  readonly directory?: string
  readonly clearing: Clearing
  /** Deletes all that a run has left, when another has taken its place for good. */
  forget(run: string): Promise<void>
  /** Waits for what is under way, then lets go of the directory. Calls made later are refused with StateClosedError. Idempotent. */
  close(): Promise<void>
  /** Calls and payload bytes so far, by port method: `streams.put.calls`, `streams.put.bytes`, `log.get.calls`, … */
  stats(): Record<string, number>
}

export interface EmbeddedOptions {
  /** Made if it isn't there. Absent: state lives in memory, outside of V8's heap, and ends with the process. */
  directory?: string
  /** Up to this size a store is verified whole when it is opened; of a larger one that is done row by row, as they are read. 64 MB. */
  checkedBytesMax?: number
  clock?: Clock
  random?: Random
}

/**
 * The ports in this process, on SQLite (docs/embedded-store.md). What a call has acknowledged in a directory survives the death of the
 * process at any moment; after a power loss, the state is that of some earlier moment.
 *
 * @throws StateDirectoryInUseError another process has the directory
 * @throws StateFormatError the directory was made by an incompatible version, or by another program
 * @throws StateCorruptError the directory is damaged
 *
 * @example
 * const ports = await openEmbedded({ directory: '.millrace/state' })
 * const seq = await ports.streams.put('clicks', 0, new Uint8Array([1, 2, 3]))
 * await ports.close()
 */
export async function openEmbedded(options: EmbeddedOptions = {}): Promise<EmbeddedPorts> {
  const { clock = systemClock, random = systemRandom } = options
  const directory = options.directory === undefined ? undefined : resolve(options.directory)
  // Functions that keep no directory don't load what that takes.
  const durable = directory === undefined ? undefined : await import('./durable.ts')
  const db = durable?.openDatabase(directory!, options.checkedBytesMax) ?? memoryDatabase()
  try {
    const { settle, ...blobs } = embeddedBlobs(db)
    const streams = durable?.embeddedStreams(db, clock) ?? memoryStreams(db, clock)
    const ports = { streams, log: embeddedLog(db), store: embeddedStore(db), blobs, clock, random }
    const close = async () => {
      await settle()
      db.close()
    }
    return {
      ...ports,
      directory,
      clearing: embeddedClearing(db),
      forget: async run => (await import('./forget.ts')).forgetRun(db, blobs, run),
      close,
      stats: db.stats,
    }
  } catch (error) {
    db.close()
    throw db.named(error)
  }
}
