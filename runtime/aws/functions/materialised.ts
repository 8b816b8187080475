import type { Materialised } from '../../checkpoint/materialise.ts'
import type { MaterialisedPart } from '../../checkpoint/snapshot.ts'
import { MillraceError } from '../../errors.ts'
import type { Ports } from '../../ports.ts'
import { unpack } from '../../state/codec.ts'

/** Names a blob: what was materialised may be larger than a state machine's payloads. */
export interface MaterialisedRef {
  readonly key: string
}

/** What is in it: of a part of a checkpoint, or of a log that has ended. */
export interface StoredPart<P extends Materialised = MaterialisedPart> {
  readonly log: string
  readonly part: P
}

/** What materialise handlers stored, by log. */
export async function readMaterialised(refs: readonly MaterialisedRef[], ports: Ports): Promise<Map<string, MaterialisedPart>> {
  const found = await Promise.all(refs.map(async ({ key }) => [key, await ports.blobs.get(key)] as const))
  return new Map(
    found.map(([key, bytes]) => {
      if (bytes === undefined) throw new MillraceError(`${key} is gone, though it was just materialised`)
      const { log, part } = unpack<StoredPart>(bytes)
      return [log, part]
    }),
  )
}

/** What was materialised of a log lies under this; the checkpoint, or that it is of a log that has ended, and the time follow, and whether nothing is left of it in the base. */
export function materialisedOf(log: string): string {
  return `materialised/${log}/`
}
