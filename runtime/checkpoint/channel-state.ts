import type { Blobs } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { pack, unpack } from '../state/codec.ts'

/** A frame that was accepted from a producer whose barrier was pending (protocol.md, D4): its entries from <= i < to; Infinity: to its end. */
export interface KeptFrame {
  readonly data: Uint8Array
  readonly from: number
  readonly to: number
}

/** In the place of a frame's producer: its watermarks are those of the subtask itself, whoever it had them from (checkpoint/divide/channels.ts). */
export const ALL_PRODUCERS = 0xffffffff

export function encodeChannelState(kept: readonly KeptFrame[]): Uint8Array {
  return pack(kept)
}

/** @throws SnapshotError when it is damaged; `name` says which it is */
export function decodeChannelState(bytes: Uint8Array, name: string): KeptFrame[] {
  let kept: unknown
  try {
    kept = unpack(bytes)
  } catch {
    // It is none.
  }
  if (Array.isArray(kept) && kept.every(isKept)) return kept
  throw new SnapshotError(`channel state ${name} is damaged: it holds no frames`)
}

function isKept(frame: unknown): boolean {
  const { data, from, to } = Object(frame) as KeptFrame
  return data instanceof Uint8Array && Number.isSafeInteger(from) && typeof to === 'number' && 0 <= from && from <= to
}

/** @throws SnapshotError a blob is gone, or damaged */
export async function* readChannelState(blobs: Pick<Blobs, 'get'>, names: readonly string[]): AsyncGenerator<KeptFrame> {
  for (const name of names) {
    const bytes = await blobs.get(name)
    if (bytes === undefined) throw new SnapshotError(`channel state ${name} is gone, though it was not injected yet`)
    yield* decodeChannelState(bytes, name)
  }
}
