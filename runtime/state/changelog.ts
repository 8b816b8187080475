import { type KeyPart, userKey } from '../graph/key.ts'
import type { KeyedOperator } from '../operators/keyed-operator.ts'
import { UserCodeError } from '../operators/user-code.ts'
import { ENTRY_RECORD, FrameError, type FrameHeader, FrameWriter, readFrame } from '../protocol/frame.ts'
import { DELETED, KeyEntry, MapSlot, type TtlCell } from './entry.ts'
import type { KeyedState } from './keyed-state.ts'
import { tagOf } from './schema.ts'

/**
 * A commit's state changes, as the chunk that its item refers to. A chunk is a frame, or as many as they take, one behind the other: the edge says
 * which table (operator and state), the kind whether it was written or deleted, the timestamp when it expires (0: never).
 */
const WRITTEN = 0
/** Written, where nothing was: what is deleted again before anybody stores it needs no tombstone. */
const CREATED = 1
const DELETED_KIND = 3
/** Written and created with a tag (schema.ts), which is beside the value: `{ v, t }`, of map states `{ k, v, t }`. */
const TAGGED = 4
/** Tables of one operator: states 0 to 29, then the two timer domains. */
const TABLES = 32
const EVENT_TIMERS = 30
const PROCESSING_TIMERS = 31
/** Estimated bytes at which a chunk goes on in another frame: well below what a frame can hold, as one change may be large. */
const CHUNK_FRAME_BYTES = 1 << 20
/** Where a frame says how long it is (docs/frame-format.md). */
const FRAME_LENGTH_AT = 8
/** … and how many entries it has. */
const FRAME_COUNT_AT = 16

/** One change, as a chunk holds it. The object is reused: read it before the next one. */
export interface Change {
  /** Index of the keyed operator in its stage's list. */
  operator: number
  /** Index of the state, or 'event' and 'processing' for timers. */
  state: number | 'event' | 'processing'
  key: KeyPart
  /** False: deleted. */
  written: boolean
  /** Written where nothing was as of the commit before, for certain. */
  created: boolean
  /** Value states: the value. Map states: `{ k: subkey, v: value }`. Timers: the tag. */
  value: any
  /** What the value is of: see schema.ts. */
  tag: string | undefined
  /** Expiry (0: never), or the timer's time. */
  timestamp: number
  /** About how many bytes it took: the mean of its frame, before compression. */
  bytes: number
}

/** Everything that the operators changed since the last commit, undefined when nothing did. Leaves the dirty marks as they are. */
export function encodeChanges(
  writer: FrameWriter,
  operators: readonly KeyedOperator[],
  header: FrameHeader,
): Uint8Array | undefined {
  const chunk = new ChunkWriter(writer, header)
  operators.forEach((operator, index) => {
    const base = index * TABLES
    for (const entry of operator.state.dirty) {
      for (let bits = entry.dirty, i = 0; bits !== 0; bits >>>= 1, i++) {
        if ((bits & 1) === 0) continue
        try {
          writeState(chunk, operator, entry, base, i)
        } catch (error) {
          throw unstorable(error, operator, i, entry)
        }
      }
    }
    // All timers are in memory, and one that is set already is not set again: each that is set is new.
    for (const c of operator.eventTimers.changes)
      chunk.record(base + EVENT_TIMERS, c.tag, c.at, c.key, c.set ? CREATED : DELETED_KIND)
    for (const c of operator.processingTimers.changes) {
      chunk.record(base + PROCESSING_TIMERS, c.tag, c.at, c.key, c.set ? CREATED : DELETED_KIND)
    }
  })
  return chunk.finish()
}

/** An entry of a value state, or with `subkey` of a map state, that was not there before. */
export interface CreatedEntry extends Omit<Change, 'written' | 'created' | 'state' | 'bytes'> {
  readonly state: number
  readonly subkey: KeyPart | undefined
}

/** The same of entries that are not in memory. */
export function encodeCreated(entries: readonly CreatedEntry[], header: FrameHeader): Uint8Array | undefined {
  const chunk = new ChunkWriter(new FrameWriter(), header)
  for (const { operator, state, key, subkey, value, tag, timestamp } of entries) {
    const wrapped = { ...(subkey !== undefined && { k: subkey }), v: value, ...(tag !== undefined && { t: tag }) }
    const plain = subkey === undefined && tag === undefined
    chunk.record(
      operator * TABLES + state,
      plain ? value : wrapped,
      timestamp,
      key,
      tag === undefined ? CREATED : CREATED | TAGGED,
    )
  }
  return chunk.finish()
}

function unstorable(error: unknown, operator: KeyedOperator, index: number, { key }: KeyEntry): unknown {
  if (!(error instanceof FrameError) || error.part === undefined) return error
  const { name, primitive, schema } = operator.state.declarations[index]!
  // Behind the entry's own wrapping.
  const path = primitive === 'map' || tagOf(schema) !== undefined ? error.part.path.replace('$.v', '$') : error.part.path
  const where = path === '$' ? 'is' : `holds, in ${path.slice(1).replace(/^\./, '')},`
  return new UnstorableError(
    operator.ctx.operatorId,
    undefined,
    `the state '${name}' of the key ${JSON.stringify(userKey(key))} ${where} ${error.part.kind}, which can't be stored: keep plain data`,
  )
}

/** Writes changes into as many frames as they take. */
class ChunkWriter {
  private readonly writer: FrameWriter
  private readonly header: FrameHeader
  private readonly full: Uint8Array[] = []

  constructor(writer: FrameWriter, header: FrameHeader) {
    this.writer = writer
    this.header = header
  }

  record(table: number, value: unknown, timestamp: number, key: KeyPart, kind: number): void {
    this.writer.record(table, value, timestamp, key, kind)
    if (this.writer.approximateBytes >= CHUNK_FRAME_BYTES) this.close()
  }

  finish(): Uint8Array | undefined {
    if (this.writer.count > 0) this.close()
    return this.full.length > 1 ? Buffer.concat(this.full) : this.full[0]
  }

  private close(): void {
    this.full.push(this.writer.finish({ ...this.header, index: this.full.length + 1 }))
  }
}

/** State that can't go to the log: the user's function put it there. */
export class UnstorableError extends UserCodeError {
  override readonly name = 'UnstorableError'
}

function writeState(writer: ChunkWriter, operator: KeyedOperator, entry: KeyEntry, base: number, index: number): void {
  const declaration = operator.state.declarations[index]!
  const expires = declaration.ttl !== undefined
  const table = base + index
  const stored = entry.values[index]
  const tag = tagOf(declaration.schema)
  if (declaration.primitive === 'value') {
    const created = ((entry.created >> index) & 1) === 1
    const kind = created ? CREATED : WRITTEN
    const write = (value: unknown, expiry: number) =>
      tag === undefined
        ? writer.record(table, value, expiry, entry.key, kind)
        : writer.record(table, { v: value, t: tag }, expiry, entry.key, kind | TAGGED)
    if (stored === undefined) {
      if (!created) writer.record(table, null, 0, entry.key, DELETED_KIND)
    } else if (expires) write((stored as TtlCell).value, (stored as TtlCell).expiry)
    else write(stored, 0)
    return
  }
  const write = (subkey: KeyPart, value: unknown, expiry: number, kind: number) =>
    tag === undefined
      ? writer.record(table, { k: subkey, v: value }, expiry, entry.key, kind)
      : writer.record(table, { k: subkey, v: value, t: tag }, expiry, entry.key, kind | TAGGED)
  const slot = stored as MapSlot
  const { keptMs } = declaration
  slot.dirty.forEach((created, subkey) => {
    const value = slot.entries.get(subkey)
    const kind = created ? CREATED : WRITTEN
    if (value === undefined || value === DELETED) {
      if (!created) writer.record(table, { k: subkey }, 0, entry.key, DELETED_KIND)
    } else if (expires) write(subkey, (value as TtlCell).value, (value as TtlCell).expiry, kind)
    else write(subkey, value, keptMs === undefined ? 0 : (subkey as number) + keptMs, kind)
  })
}

/** After a won commit: what was dirty is now of `version`. */
export function markCommitted(operators: readonly KeyedOperator[], version: number): void {
  for (const operator of operators) {
    const state = operator.state
    for (const entry of state.dirty) {
      for (let bits = entry.dirty, i = 0; bits !== 0; bits >>>= 1, i++) {
        const declaration = state.declarations[i]!
        if ((bits & 1) === 0 || declaration.primitive !== 'map') continue
        const slot: MapSlot = entry.values[i]
        settle(slot)
        // What was emptied stays in memory until it is materialised: as little of it as possible. (A whole map is made again as complete.)
        if (declaration.load === 'all' && slot.complete && slot.entries.size === 0) entry.values[i] = undefined
      }
      entry.dirty = 0
      entry.created = 0
      entry.version = version
      // With a base its last change has to be remembered until it is there.
      if (state.base === undefined) state.forgetEmpty(entry, version)
    }
    state.dirty = []
    state.epoch++
    operator.eventTimers.changes = []
    operator.processingTimers.changes = []
  }
}

/** Deleted entries of a complete slot need no marker: absence is known. */
function settle(slot: MapSlot): void {
  const { complete, deletions, dirty, entries } = slot
  if (complete && deletions) {
    dirty.forEach((_, subkey) => {
      if (entries.get(subkey) === DELETED) entries.delete(subkey)
    })
  }
  dirty.clear()
  slot.deletions = false
}

/** The changes of a chunk, in the order of writing. */
export function forEachChange(chunk: Uint8Array, visit: (change: Change) => void): void {
  const change: Change = {
    operator: 0,
    state: 0,
    key: '',
    written: true,
    created: false,
    value: undefined,
    tag: undefined,
    timestamp: 0,
    bytes: 0,
  }
  for (const frame of framesOf(chunk)) visitFrame(frame, change, visit)
}

/** How many changes there are in a chunk, by what its frames say of themselves: cheap, nothing is decoded. */
export function countChanges(chunk: Uint8Array): number {
  let count = 0
  for (const frame of framesOf(chunk))
    if (frame.length >= FRAME_COUNT_AT + 4) count += new DataView(frame.buffer, frame.byteOffset).getUint32(FRAME_COUNT_AT, true)
  return count
}

function* framesOf(chunk: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  for (let at = 0; at < chunk.length; ) {
    const behind = at + FRAME_LENGTH_AT + 4
    // A frame that is cut, or says nonsense, is for readFrame to refuse.
    const end = behind <= chunk.length ? Math.max(behind, at + view.getUint32(at + FRAME_LENGTH_AT, true)) : chunk.length
    yield chunk.subarray(at, end)
    at = end
  }
}

function visitFrame(frame: Uint8Array, change: Change, visit: (change: Change) => void): void {
  const { bytes, count, reader } = readFrame(frame)
  const cursor = reader()
  change.bytes = bytes / count
  while (cursor.next() === ENTRY_RECORD) {
    const table = cursor.edge % TABLES
    change.operator = (cursor.edge - table) / TABLES
    change.state = table === EVENT_TIMERS ? 'event' : table === PROCESSING_TIMERS ? 'processing' : table
    change.key = cursor.key as KeyPart
    change.written = cursor.kind !== DELETED_KIND
    change.created = (cursor.kind & ~TAGGED) === CREATED
    const wrapped = (cursor.kind & TAGGED) === 0 ? undefined : (cursor.value as { k?: KeyPart; v: unknown; t: string })
    change.tag = wrapped?.t
    change.value = wrapped === undefined || 'k' in wrapped ? cursor.value : wrapped.v
    change.timestamp = cursor.timestamp
    visit(change)
  }
}

/** Replays a chunk over the state in memory: what a cold environment does with each commit behind the materialised marker. */
export function applyChanges(operators: readonly KeyedOperator[], chunk: Uint8Array, version: number): void {
  forEachChange(chunk, change => {
    const operator = operators[change.operator]!
    if (change.state === 'event') operator.eventTimers.restore(change.written, change.timestamp, change.key, change.value)
    else if (change.state === 'processing')
      operator.processingTimers.restore(change.written, change.timestamp, change.key, change.value)
    else applyState(operator.state, change.state, change, version)
  })
}

/** Replays one change of a state. */
export function applyState(state: KeyedState, index: number, change: Change, version: number): void {
  const declaration = state.declarations[index]!
  let entry = state.entries.get(change.key)
  if (entry === undefined) {
    entry = new KeyEntry(change.key, state.declarations.length)
    state.entries.set(change.key, entry)
  }
  entry.version = version
  const cell = (v: unknown) => (declaration.ttl === undefined ? v : { value: v, expiry: change.timestamp })
  if (declaration.primitive === 'value') {
    const value = change.written ? state.asOfNow(entry, index, change.tag, change.value) : undefined
    entry.values[index] = change.written ? cell(value) : undefined
    entry.known |= 1 << index
    return
  }
  const { k, v } = change.value
  const slot: MapSlot = (entry.values[index] ??= new MapSlot(false))
  slot.entries.set(k, change.written ? cell(state.asOfNow(entry, index, change.tag, v, k)) : DELETED)
}
