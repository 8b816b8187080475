import { MillraceError } from '../errors.ts'
import type { KeyedStore } from '../ports.ts'
import { readMarker } from './marker.ts'

/** A fold up to a later cut has begun: this one is a leftover of a checkpoint that was decided without it. */
export class SupersededFoldError extends MillraceError {
  override readonly name = 'SupersededFoldError'
}

const DIGITS = 16
const LIMIT = 1000

export interface Claimed {
  /** The marker: where the fold begins. */
  readonly from: number
  /** No fold to another cut has begun since the marker moved, nor can one yet. */
  readonly alone: boolean
}

/**
 * Says that a fold of this log up to `cut` begins, before it writes anything. Each writes its claim first and then looks for others', so of two at least
 * one sees the other. One that died has left its claim, and maybe some of its items. `exclusive`: others may have died, but none is alive.
 *
 * @throws SupersededFoldError when there is a claim to a later cut, unless exclusive
 */
export async function claimFold(store: KeyedStore, log: string, cut: number, exclusive: boolean): Promise<Claimed> {
  const pk = `claims|${log}`
  // Without values, as tombstones are, so that sweeping takes them away.
  await store.upsert([{ pk, sk: String(cut).padStart(DIGITS, '0'), v: cut, value: undefined }])
  const claims = await store.range(pk, '', '~', LIMIT)
  // After the claims: one that was swept has moved the marker before.
  const from = await readMarker(store, log)
  if (from >= cut) return { from, alone: true }
  if (!exclusive && claims.some(c => c.v > cut))
    throw new SupersededFoldError(`a fold of ${log} up to version ${cut} was begun after one of a later checkpoint`)
  // Who claimed up to the marker, or before it, is met by the items of the fold that moved it: it saw that claim, or was seen by it.
  if (claims.some(c => c.v <= from)) await store.sweep(pk, from, Number.NEGATIVE_INFINITY)
  return { from, alone: claims.every(c => c.v <= from || c.v === cut) }
}
