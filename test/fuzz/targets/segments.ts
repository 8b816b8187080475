import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { Dice } from '../../../runtime/sim/random.ts'
import { SnapshotError } from '../../../runtime/snapshot/error.ts'
import { joinAddress, type SnapshotItem } from '../../../runtime/snapshot/item.ts'
import { readSegment, SegmentWriter } from '../../../runtime/snapshot/segment.ts'
import { decodeIndex, encodeIndex, HEADER_BYTES } from '../../../runtime/snapshot/segment-index.ts'
import { mutate, noise } from '../mutate.ts'
import type { Target } from '../target.ts'
import { number, text } from '../values.ts'

export const segments: Target = {
  name: 'segments',
  once(dice) {
    const items = randomItems(dice)
    const segment = segmentOf(items)
    const kind = dice.below(6)
    if (kind === 0) {
      assert.deepEqual(read(segment), plain(items))
      return true
    }
    const bytes = kind === 1 ? noise(dice, dice.below(100)) : mutate(segment, dice)
    const tried = kind < 4 ? bytes : resealed(bytes)
    try {
      read(tried)
    } catch (error) {
      if (error instanceof SnapshotError) return false
      throw error
    }
    if (kind < 4) assert.deepEqual(Buffer.from(tried), Buffer.from(segment), 'what passes its checksums is what was written')
    return true
  },
}

function randomItems(dice: Dice): SnapshotItem[] {
  const items = new Map<string, SnapshotItem>()
  for (let n = dice.below(10); n > 0; n--) {
    const address = joinAddress(text(dice), `v${text(dice)}`)
    const value = dice.chance(0.2) ? undefined : noise(dice, dice.below(30))
    items.set(address, { address, value, ...(dice.chance(0.3) && { expiry: Math.floor(number(dice)) || 1 }) })
  }
  return [...items.values()].sort((a, b) => (a.address < b.address ? -1 : 1))
}

function segmentOf(items: readonly SnapshotItem[]): Uint8Array {
  const writer = new SegmentWriter()
  for (const item of items) writer.add(item)
  return writer.finish().bytes
}

const plain = (items: Iterable<SnapshotItem>) => Array.from(items, i => ({ ...i, value: i.value && [...i.value] }))

function read(segment: Uint8Array): unknown[] {
  return plain(readSegment(segment, 'it'))
}

/** All checksums of docs/snapshot-format.md, as far as there is an index to be found. */
function resealed(bytes: Uint8Array): Uint8Array {
  const segment = Buffer.from(bytes)
  if (segment.length < HEADER_BYTES) return segment
  const at = segment.readUInt32LE(16)
  const whole = at + 4 > segment.length ? segment : withIndex(segment, at)
  whole.writeUInt32LE(whole.length, 8)
  whole.writeUInt32LE(crc32(whole.subarray(0, 24)), 24)
  return whole
}

function withIndex(segment: Buffer, at: number): Buffer {
  segment.writeUInt32LE(crc32(segment.subarray(at, -4)), segment.length - 4)
  try {
    const { blocks, filter } = decodeIndex(segment.subarray(at), 'it')
    const sealed = blocks.map(b => ({ ...b, crc: crc32(segment.subarray(b.offset, b.offset + b.bytes)) }))
    return Buffer.concat([segment.subarray(0, at), encodeIndex({ blocks: sealed, filter })])
  } catch (error) {
    if (error instanceof SnapshotError) return segment
    throw error
  }
}
