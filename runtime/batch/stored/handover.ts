import { segmentsOf } from '../../checkpoint/blob-names.ts'
import { inWindows } from '../../connectors/at-once.ts'
import type { Blobs, RangedBlobs } from '../../ports.ts'
import { writeHandover } from '../handover.ts'
import type { Prepared } from '../job.ts'
import { KEPT_STATE, stateKey } from '../kept-state.ts'
import { keptOf } from './names.ts'
import { partsOf } from './parts.ts'

const READ_AT_ONCE = 16

/** Writes the savepoint that a stream starts from, of what the winning attempts have kept (writeHandover). */
export async function handOverStored(
  prepared: Prepared,
  blobs: RangedBlobs,
  to: Blobs & { readonly name: string },
  splits: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const topology = prepared.topology()
  const { run } = topology
  const subtasks = topology.stages.flatMap(({ stage, parallelism }) =>
    stage.source !== undefined ? [] : Array.from({ length: parallelism }, (_, shard) => ({ stage: stage.index, shard })),
  )
  const winners = new Map<string, string>()
  const note = async ({ stage, shard }: (typeof subtasks)[number]) => {
    const { attempt } = (await partsOf(blobs, run, stage, shard)).at(-1)!
    winners.set(stateKey(stage, shard), attempt)
    winners.set(segmentsOf(topology.log(stage, shard)), attempt)
  }
  await Array.fromAsync(inWindows(READ_AT_ONCE, subtasks, note))
  const winnerOf = (key: string) =>
    key.startsWith(KEPT_STATE) ? winners.get(key) : winners.get(key.slice(0, key.lastIndexOf('/') + 1))
  const from = {
    get: async (key: string) => {
      const attempt = winnerOf(key)
      return attempt === undefined ? undefined : blobs.get(keptOf(run, attempt) + key)
    },
  }
  await writeHandover(prepared, from, to, splits)
}
