import type { Clock, StreamRecord, Streams } from '../ports.ts'
import { CHECKED, verifyRow } from './checksum.ts'
import { type Database, text } from './database.ts'
import { PortArgumentError, StateCorruptError } from './errors.ts'
import { formatPosition, parsePosition } from './position.ts'

/** Sequences per channel; 2^53 / 2^36 = 131,072 channels. */
export const SEQUENCE_SPAN = 2 ** 36
const CHANNELS_MAX = 2 ** 53 / SEQUENCE_SPAN

/** One shard of one stream. This process is the store's only writer, so the ends of a channel are known without asking it. */
interface Channel {
  /** Frame ids of the channel lie in (base, base + SEQUENCE_SPAN). */
  readonly base: number
  /** Sequences of the newest record ever put, and of the newest trimmed: 0 when none. */
  last: number
  trimmed: number
}

type Row = [id: number, arrivedAt: number, data: Uint8Array, sum: number]

export function embeddedStreams(db: Database, clock: Clock): Streams {
  const channels = new Map<string, Map<number, Channel>>()
  const insert = db.prepare('insert into frames (id, arrived, data, sum) values (?, ?, ?, ?)')
  const read = db.prepare('select id, arrived, data, sum from frames where id > ? and id < ? order by id limit ?')
  const remove = db.prepare('delete from frames where id > ? and id <= ?')
  const saveTrim = db.prepare('update channels set trimmed = ?, sum = ? where id = ?')
  const create = db.prepare('insert into channels (id, stream, shard, trimmed, sum) values (?, ?, ?, 0, ?)')
  const meters = { put: db.meter('streams.put'), poll: db.meter('streams.poll'), trim: db.meter('streams.trim') }
  let lastId = 0
  load()

  function load(): void {
    const newest = db.prepare('select max(id) from frames where id > ? and id < ?')
    for (const row of db.prepare('select id, stream, shard, trimmed from channels').all()) {
      const [id, stream, shard, trimmed] = row as unknown as [number, string, number, number]
      const base = id * SEQUENCE_SPAN
      lastId = Math.max(lastId, id)
      const [max] = newest.get(base, base + SEQUENCE_SPAN) as unknown as [number | null]
      verifyBehind(base + SEQUENCE_SPAN)
      remember(stream, shard, { base, last: max === null ? trimmed : max - base, trimmed })
    }
  }

  /** A last frame whose id is damaged is not found: it is the one behind the place where the channel ends. */
  function verifyBehind(end: number): void {
    if (db.whole) return
    const row = db
      .prepare(`select ${CHECKED.frames} from frames where id > ? order by id limit 1`)
      .get(end) as unknown as unknown[]
    if (row) verifyRow(db.directory!, 'frames', row)
  }

  function remember(stream: string, shard: number, channel: Channel): Channel {
    const shards = channels.get(stream) ?? new Map<number, Channel>()
    shards.set(shard, channel)
    channels.set(stream, shards)
    return channel
  }

  function open(stream: string, shard: number): Channel {
    const known = channels.get(stream)?.get(shard)
    if (known) return known
    const id = lastId + 1
    if (id >= CHANNELS_MAX) throw new PortArgumentError(`more than ${CHANNELS_MAX} stream shards in one embedded store`)
    create.run(id, text(stream), shard, db.sum(channelColumns(id, stream, shard, 0)))
    lastId = id
    return remember(stream, shard, { base: id * SEQUENCE_SPAN, last: 0, trimmed: 0 })
  }

  const missing = () => new StateCorruptError(db.directory!, 'a frame is missing from a stream')

  /** With a byte limit, rows are taken one by one: at least one, and then as many as fit. */
  function* within(rows: Iterable<Row>, bytesMax: number): Generator<Row> {
    let bytes = 0
    for (const row of rows) {
      bytes += row[2].byteLength
      if (bytes > bytesMax && bytes > row[2].byteLength) return
      yield row
    }
  }

  return {
    put: (stream, shard, data) =>
      db.call(meters.put, () => {
        const channel = open(stream, shard)
        const sequence = channel.last + 1
        const id = channel.base + sequence
        const now = clock.now()
        insert.run(id, now, data, db.sum(`${id}\0${now}`, data))
        channel.last = sequence
        meters.put.bytes += data.byteLength
        return formatPosition(sequence)
      }),

    poll: (stream, shard, after, limit, bytesMax) =>
      db.call(meters.poll, () => {
        const channel = channels.get(stream)?.get(shard)
        const records: StreamRecord[] = []
        const from = Math.max(after === undefined ? 0 : parsePosition(after), channel?.trimmed ?? 0)
        if (!channel || from >= channel.last) return records
        const bounds = [channel.base + from, channel.base + SEQUENCE_SPAN, limit] as const
        const rows = (
          bytesMax === undefined ? read.all(...bounds) : within(read.iterate(...bounds) as any, bytesMax)
        ) as Iterable<Row>
        for (const [id, arrivedAt, data, sum] of rows) {
          db.verify('frames', `${id}\0${arrivedAt}`, data, sum)
          meters.poll.bytes += data.byteLength
          if (!db.whole && id !== bounds[0] + records.length + 1) throw missing()
          records.push({ seq: formatPosition(id - channel.base), data, arrivedAt })
        }
        if (!db.whole && records.length === 0) throw missing()
        return records
      }),

    trim: (stream, shard, upTo) =>
      db.call(meters.trim, () => {
        const channel = channels.get(stream)?.get(shard)
        if (!channel) return
        const end = Math.min(parsePosition(upTo), channel.last)
        if (end <= channel.trimmed) return
        db.transaction(() => {
          remove.run(channel.base, channel.base + end)
          const id = channel.base / SEQUENCE_SPAN
          saveTrim.run(end, db.sum(channelColumns(id, stream, shard, end)), id)
        })
        channel.trimmed = end
      }),
  }
}

/** As CHECKED has them. */
function channelColumns(id: number, stream: string, shard: number, trimmed: number): string {
  return `${id}\0${stream}\0${shard}\0${trimmed}`
}
