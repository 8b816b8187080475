import { readChannelState } from '../checkpoint/channel-state.ts'
import type { Part } from '../checkpoint/cut.ts'
import type { Blobs } from '../ports.ts'
import { ENTRY_RECORD, readFrame } from '../protocol/frame.ts'

/** Whether the channel state of a checkpoint holds a record, and not only watermarks. */
export async function hasRecordsOnTheirWay(parts: readonly Part[], blobs: Blobs): Promise<boolean> {
  const names = parts.flatMap(part => part.channelState)
  for await (const { data, from, to } of readChannelState(blobs, names)) {
    const cursor = readFrame(data).reader()
    cursor.skip(from)
    for (let type = cursor.next(); type >= 0 && cursor.offset <= to; type = cursor.next()) if (type === ENTRY_RECORD) return true
  }
  return false
}
