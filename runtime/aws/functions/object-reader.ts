import { LineChunk } from '../../connectors/line-chunk.ts'
import type { SourcePosition } from '../../connectors/source.ts'
import { type Objects, objectName, UnreadableObjectError } from '../objects.ts'
import type { RawArrival } from './deliver-parts.ts'
import { openLines, type WholeLines } from './object-lines.ts'
import type { ListedObject, ObjectList } from './object-list.ts'

/** Everything in the slots before `slot`, and so much of the object in it, is taken. */
export interface ObjectPosition {
  readonly slot: number
  /** Bytes of its content, unpacked. */
  readonly offset: number
  readonly line: number
}

const START: ObjectPosition = { slot: 1, offset: 0, line: 0 }

/** One line; or, in the place of what could not be read of an object, the object. */
export interface ObjectRecord extends RawArrival {
  readonly after: ObjectPosition
  /** Why nobody can read it. */
  readonly fault: string | undefined
}

export interface ObjectRecords {
  readonly records: readonly ObjectRecord[]
  /** Behind them. It may be further than `position` though there are none: then nothing is in between. */
  readonly next: ObjectPosition
}

/** The lines of a list's objects as one sequence. What was read stays until it is known to be committed, so that going back to the last commit costs nothing. */
export interface ObjectReader {
  /** What follows `position`, in slots up to `lastSlot`, at most `limit` of them. */
  read(position: ObjectPosition, lastSlot: number, limit: number): Promise<ObjectRecords>
  /** To be called when a read has failed, or may still be under way: nothing is to be read here any more. */
  close(): void
}

/** Of what is read at once; small objects are taken together, so that a commit holds many of them. */
const RECORDS = 10_000
const BYTES = 4 << 20
/** Objects whose first bytes are on their way while others are taken. */
const AHEAD = 4
const PAGE = 100
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

interface OpenObject extends ListedObject {
  readonly lines: AsyncGenerator<WholeLines>
}

export function positionOf(source: SourcePosition | undefined): ObjectPosition {
  return (source as ObjectPosition | undefined) ?? START
}

export function openObjectReader(list: ObjectList, objects: Objects): ObjectReader {
  /** Read, and not known to be committed: between `start` and `end`. */
  let held: ObjectRecord[] = []
  let start = START
  let end = START
  /** Of the list, behind `end`. The first one may be read in part. */
  let opened: OpenObject[] = []
  let listed: ListedObject[] = []
  let nextSlot = START.slot

  function restart(position: ObjectPosition): void {
    close()
    held = []
    start = position
    end = position
    nextSlot = position.slot
  }

  /** False: it has to be read again from there. */
  function dropUpTo(position: ObjectPosition): boolean {
    if (isBefore(position, start) || isBefore(end, position)) return false
    const left = held.findIndex(({ after }) => isBefore(position, after))
    held = left === -1 ? [] : held.slice(left)
    start = position
    return true
  }

  /** The object to read on in; undefined: there is none up to `lastSlot`. */
  async function open(lastSlot: number): Promise<OpenObject | undefined> {
    while (opened.length + listed.length === 0 && nextSlot <= lastSlot) {
      const page = await list.read(nextSlot, Math.min(PAGE, lastSlot - nextSlot + 1))
      listed = [...page.listed]
      nextSlot = page.next
    }
    while (opened.length < AHEAD && listed.length > 0) {
      const next = listed.shift()!
      const offset = next.slot === end.slot ? end.offset : 0
      opened.push({ ...next, lines: openLines(objects, next.object, offset) })
    }
    return opened[0]
  }

  async function fill(lastSlot: number): Promise<void> {
    for (let bytes = 0; held.length < RECORDS && bytes < BYTES; ) {
      const object = await open(lastSlot)
      // Slots in between don't count.
      const slot = object?.slot ?? nextSlot
      if (slot > end.slot) end = { ...START, slot }
      if (object === undefined) return
      bytes += await take(object)
    }
  }

  /** The next lines of an object, or what has to be said in their place. */
  async function take(object: OpenObject): Promise<number> {
    const through = { ...START, slot: object.slot + 1 }
    let lines: WholeLines
    try {
      lines = (await object.lines.next()).value
    } catch (error) {
      if (!(error instanceof UnreadableObjectError)) throw error
      held.push(faultOf(object, end, through, error.message))
      opened.shift()
      end = through
      return 0
    }
    const records = recordsOf(object, end, lines.bytes)
    const behind = { slot: end.slot, offset: end.offset + lines.bytes.length, line: end.line + records.lines }
    end = lines.isLast ? through : behind
    const last = records.all.length - 1
    held.push(...records.all.map((record, i) => (i === last ? { ...record, after: end } : record)))
    if (lines.isLast) opened.shift()
    return lines.bytes.length
  }

  function close(): void {
    // Not awaited: a request may be under way.
    for (const { lines } of opened) lines.return(undefined).catch(() => {})
    opened = []
    listed = []
  }

  return {
    async read(position, lastSlot, limit) {
      if (!dropUpTo(position)) restart(position)
      if (held.length === 0) await fill(lastSlot)
      const records = held.slice(0, limit)
      return { records, next: records.length === held.length ? end : records.at(-1)!.after }
    },
    close,
  }
}

function recordsOf({ slot, object }: ListedObject, start: ObjectPosition, bytes: Buffer) {
  const chunk = new LineChunk(bytes)
  if (start.offset === 0 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) chunk.seek(3, 0)
  const { records, ends, counts } = chunk.take(Number.POSITIVE_INFINITY)
  const all = records.map((data, i): ObjectRecord => {
    const after = { slot, offset: start.offset + ends[i]!, line: start.line + counts[i]! }
    const place = { object: objectName(object), line: after.line, byte: after.offset }
    return { id: idOf(slot, after.offset), data, place, after, fault: undefined }
  })
  return { all, lines: chunk.line }
}

function faultOf({ slot, object }: ListedObject, from: ObjectPosition, after: ObjectPosition, fault: string): ObjectRecord {
  const data = JSON.stringify(object)
  const place = { object: objectName(object), line: from.line, byte: from.offset }
  return { id: `${idOf(slot, from.offset)}-rest`, data, place, after, fault }
}

/** In the order of their places. */
function idOf(slot: number, offset: number): string {
  return `${String(slot).padStart(12, '0')}-${String(offset).padStart(13, '0')}`
}

function isBefore(a: ObjectPosition, b: ObjectPosition): boolean {
  return a.slot < b.slot || (a.slot === b.slot && a.offset < b.offset)
}
