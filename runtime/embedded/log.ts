import type { CommitLog } from '../ports.ts'
import { type Database, type Meter, text } from './database.ts'
import { FloorError } from './errors.ts'

export function embeddedLog(db: Database): CommitLog {
  const insert = db.prepare('insert into slots (log, version, item) values (?, ?, ?) on conflict do nothing')
  const read = db.prepare('select item from slots where log = ? and version = ?')
  const scan = db.prepare('select version, item from slots where log = ? and version >= ? order by version limit ?')
  const remove = db.prepare('delete from slots where log = ? and version >= ? and version < ?')
  const readFloor = db.prepare('select floor from floors where log = ?')
  const raise = db.prepare(
    'insert into floors (log, floor) values (?, ?) on conflict do update set floor = excluded.floor where excluded.floor > floor',
  )
  const meters = {
    putIfAbsent: db.meter('log.putIfAbsent'),
    get: db.meter('log.get'),
    batchGet: db.meter('log.batchGet'),
    range: db.meter('log.range'),
    floor: db.meter('log.floor'),
    raiseFloor: db.meter('log.raiseFloor'),
    expire: db.meter('log.expire'),
  }

  function get(meter: Meter, log: string, version: number): Uint8Array | undefined {
    const row = read.get(text(log), version) as unknown as [Uint8Array] | undefined
    if (row) meter.bytes += row[0].byteLength
    return row?.[0]
  }

  function floorOf(log: string): number {
    return (readFloor.get(text(log)) as unknown as [number] | undefined)?.[0] ?? 0
  }

  return {
    putIfAbsent: (log, version, item) =>
      db.call(meters.putIfAbsent, () => {
        meters.putIfAbsent.bytes += item.byteLength
        return insert.run(text(log), version, item).changes === 1
      }),
    get: (log, version) => db.call(meters.get, () => get(meters.get, log, version)),
    batchGet: slots => db.call(meters.batchGet, () => slots.map(slot => get(meters.batchGet, slot.log, slot.version))),
    range: (log, from, limit) =>
      db.call(meters.range, () =>
        (scan.all(text(log), from, limit) as unknown as [number, Uint8Array][]).map(([version, item]) => {
          meters.range.bytes += item.byteLength
          return { version, item }
        }),
      ),
    floor: log => db.call(meters.floor, () => floorOf(log)),
    raiseFloor: (log, floor) =>
      db.call(meters.raiseFloor, () => {
        raise.run(text(log), floor)
      }),
    expire: (log, from, to) =>
      db.call(meters.expire, () => {
        if (from >= to) return
        const floor = floorOf(log)
        if (to > floor) throw new FloorError(log, to, floor)
        remove.run(text(log), from, to)
      }),
  }
}
