import type { CommitLog } from '../ports.ts'
import { type Database, type Meter, text } from './database.ts'
import { FloorError } from './errors.ts'
import { neighbours } from './neighbours.ts'

export function embeddedLog(db: Database): CommitLog {
  const insert = db.prepare('insert into slots (log, version, item, sum) values (?, ?, ?, ?) on conflict do nothing')
  const read = db.prepare('select item, sum from slots where log = ? and version = ?')
  const scan = db.prepare('select version, item, sum from slots where log = ? and version >= ? order by version limit ?')
  const remove = db.prepare('delete from slots where log = ? and version >= ? and version < ?')
  const readFloor = db.prepare('select floor, sum from floors where log = ?')
  const beside = neighbours(db, 'slots', 'log', 'version')
  const raise = db.prepare(
    'insert into floors (log, floor, sum) values (?, ?, ?) on conflict do update set floor = excluded.floor, sum = excluded.sum where excluded.floor > floor',
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
    const row = read.get(text(log), version) as unknown as [Uint8Array, number] | undefined
    if (row) return verified(meter, log, version, ...row)
    beside.verify(log, version)
    return undefined
  }

  function verified(meter: Meter, log: string, version: number, item: Uint8Array, sum: number): Uint8Array {
    db.verify('slots', `${log}\0${version}`, item, sum)
    meter.bytes += item.byteLength
    return item
  }

  function floorOf(log: string): number {
    const row = readFloor.get(text(log)) as unknown as [number, number] | undefined
    if (row) db.verify('floors', `${log}\0${row[0]}`, null, row[1])
    return row?.[0] ?? 0
  }

  return {
    putIfAbsent: (log, version, item) =>
      db.call(meters.putIfAbsent, () => {
        meters.putIfAbsent.bytes += item.byteLength
        return insert.run(text(log), version, item, db.sum(`${log}\0${version}`, item)).changes === 1
      }),
    get: (log, version) => db.call(meters.get, () => get(meters.get, log, version)),
    batchGet: slots => db.call(meters.batchGet, () => slots.map(slot => get(meters.batchGet, slot.log, slot.version))),
    range: (log, from, limit) =>
      db.call(meters.range, () => {
        const rows = scan.all(text(log), from, limit) as unknown as [number, Uint8Array, number][]
        const slots = rows.map(([version, ...row]) => ({ version, item: verified(meters.range, log, version, ...row) }))
        beside.verifyRange(log, from, slots.at(-1)?.version)
        return slots
      }),
    floor: log => db.call(meters.floor, () => floorOf(log)),
    raiseFloor: (log, floor) =>
      db.call(meters.raiseFloor, () => {
        raise.run(text(log), floor, db.sum(`${log}\0${floor}`))
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
