import type { Clock, StreamRecord, Streams } from '../ports.ts'
import { type Database, text } from './database.ts'
import { PortArgumentError } from './errors.ts'
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

type Row = [id: number, arrivedAt: number, data: Uint8Array]

export function embeddedStreams(db: Database, clock: Clock): Streams {
  const channels = new Map<string, Map<number, Channel>>()
  const insert = db.prepare('insert into frames (id, arrived, data) values (?, ?, ?)')
  const read = db.prepare('select id, arrived, data from frames where id > ? and id < ? order by id limit ?')
  const remove = db.prepare('delete from frames where id > ? and id <= ?')
  const saveTrim = db.prepare('update channels set trimmed = ? where id = ?')
  const create = db.prepare('insert into channels (stream, shard, trimmed) values (?, ?, 0)')
  const meters = { put: db.meter('streams.put'), poll: db.meter('streams.poll'), trim: db.meter('streams.trim') }
  load()

  function load(): void {
    const newest = db.prepare('select max(id) from frames where id > ? and id < ?')
    for (const row of db.prepare('select id, stream, shard, trimmed from channels').all()) {
      const [id, stream, shard, trimmed] = row as unknown as [number, string, number, number]
      const base = id * SEQUENCE_SPAN
      const [max] = newest.get(base, base + SEQUENCE_SPAN) as unknown as [number | null]
      remember(stream, shard, { base, last: max === null ? trimmed : max - base, trimmed })
    }
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
    const id = Number(create.run(text(stream), shard).lastInsertRowid)
    if (id >= CHANNELS_MAX) throw new PortArgumentError(`more than ${CHANNELS_MAX} stream shards in one embedded store`)
    return remember(stream, shard, { base: id * SEQUENCE_SPAN, last: 0, trimmed: 0 })
  }

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
        insert.run(channel.base + sequence, clock.now(), data)
        channel.last = sequence
        meters.put.bytes += data.byteLength
        return formatPosition(sequence)
      }),

    poll: (stream, shard, after, limit, bytesMax) =>
      db.call(meters.poll, () => {
        const from = after === undefined ? 0 : parsePosition(after)
        const channel = channels.get(stream)?.get(shard)
        const records: StreamRecord[] = []
        if (!channel || from >= channel.last) return records
        const bounds = [channel.base + Math.max(from, channel.trimmed), channel.base + SEQUENCE_SPAN, limit] as const
        const rows = (
          bytesMax === undefined ? read.all(...bounds) : within(read.iterate(...bounds) as any, bytesMax)
        ) as Iterable<Row>
        for (const [id, arrivedAt, data] of rows) {
          meters.poll.bytes += data.byteLength
          records.push({ seq: formatPosition(id - channel.base), data, arrivedAt })
        }
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
          saveTrim.run(end, channel.base / SEQUENCE_SPAN)
        })
        channel.trimmed = end
      }),
  }
}
