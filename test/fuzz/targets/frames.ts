import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import {
  ENTRY_BARRIER,
  ENTRY_RECORD,
  ENTRY_WATERMARK,
  FrameError,
  FrameWriter,
  readFrame,
  readHeader,
} from '../../../runtime/protocol/frame.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { mutate, noise } from '../mutate.ts'
import type { Target } from '../target.ts'
import { number, record, text, value } from '../values.ts'

type Entry = readonly unknown[]

/** Whole frames, damaged ones, and damaged ones whose checksums were made right again, as of a writer that has a bug. */
export const frames: Target = {
  name: 'frames',
  once(dice) {
    const written: Entry[] = []
    const frame = randomFrame(dice, written)
    const kind = dice.below(8)
    if (kind === 0) {
      assert.deepStrictEqual(read(frame), written)
      return true
    }
    const other = dice.chance(0.2) ? randomFrame(dice, []) : frame
    const bytes = kind === 1 ? noise(dice, dice.below(200)) : mutate(frame, dice, other)
    const tried = kind < 5 ? bytes : resealed(bytes)
    try {
      readHeader(tried)
      read(tried)
    } catch (error) {
      if (error instanceof FrameError) return false
      throw error
    }
    if (kind < 5)
      assert.ok(
        [frame, other].some(f => Buffer.from(f).equals(tried)),
        'what passes its checksums is what was written',
      )
    return true
  },
}

function randomFrame(dice: Dice, written: Entry[]): Uint8Array {
  const writer = new FrameWriter({ compression: dice.chance(0.3) })
  // Records of one shape are packed by column, others one by one.
  const alike = dice.chance(0.5) ? record(dice, 1) : undefined
  for (let n = dice.below(8); n > 0; n--) {
    const kind = dice.below(10)
    if (kind === 0) {
      const at = Math.floor(dice.spread(1, 2 ** 45))
      writer.watermark(at)
      written.push([ENTRY_WATERMARK, at])
    } else if (kind === 1) {
      const checkpoint = 1 + dice.below(1000)
      const watermark = Math.floor(dice.spread(1, 2 ** 45))
      writer.barrier(checkpoint, watermark, dice.chance(0.5))
      written.push([ENTRY_BARRIER, checkpoint, watermark])
    } else {
      const edge = dice.below(3)
      const timestamp = Math.floor(dice.spread(1, 2 ** 45))
      const key = dice.pick([undefined, text(dice), number(dice)])
      const it = alike === undefined ? value(dice) : { ...alike, n: number(dice), t: text(dice) }
      writer.record(edge, it, timestamp, Number.isNaN(key) ? 1 : key, 0)
      written.push([ENTRY_RECORD, edge, it, timestamp, Number.isNaN(key) ? 1 : key])
    }
  }
  return writer.finish({ run: 'run', producer: 1, version: 2, attempt: 'a', index: 1, predVersion: 1, predIndex: 1 })
}

function read(frame: Uint8Array): Entry[] {
  const cursor = readFrame(frame).reader()
  const entries: Entry[] = []
  for (let type = cursor.next(); type >= 0; type = cursor.next()) {
    const { edge, value, timestamp, key, watermark, checkpoint } = cursor
    if (type === ENTRY_RECORD) entries.push([type, edge, value, timestamp, key])
    else entries.push(type === ENTRY_WATERMARK ? [type, watermark] : [type, checkpoint, watermark])
  }
  return entries
}

/** docs/frame-format.md: a checksum behind the header, and one over everything. */
function resealed(bytes: Uint8Array): Uint8Array {
  const frame = Buffer.from(bytes)
  if (frame.length < 28) return frame
  const headerEnd = 20 + frame.readUInt16LE(6)
  frame.writeUInt32LE(frame.length, 8)
  if (headerEnd + 8 > frame.length) return frame
  frame.writeUInt32LE(crc32(frame.subarray(0, headerEnd)), headerEnd)
  frame.writeUInt32LE(crc32(frame.subarray(0, frame.length - 4)), frame.length - 4)
  return frame
}
