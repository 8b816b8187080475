import type { BaseItem, KeyedStore } from '../ports.ts'
import { type Database, type Meter, text } from './database.ts'

type Columns = [v: number, value: Uint8Array | null, expiry: number | null, sk: string]

/** Of one transaction: a tenth of a second or so, in which nothing else is done. */
const ROWS_AT_ONCE = 10_000

export function embeddedStore(db: Database): KeyedStore {
  const read = db.prepare('select v, value, expiry from base where pk = ? and sk = ?')
  const scan = db.prepare('select v, value, expiry, sk from base where pk = ? and sk >= ? and sk < ? order by sk limit ?')
  const write = db.prepare(
    'insert into base (pk, sk, v, value, expiry) values (?, ?, ?, ?, ?) ' +
      'on conflict do update set v = excluded.v, value = excluded.value, expiry = excluded.expiry where excluded.v > v',
  )
  const remove = db.prepare('delete from base where pk = ? and v <= ? and (value is null or expiry < ?)')
  const meters = {
    batchGet: db.meter('store.batchGet'),
    range: db.meter('store.range'),
    upsert: db.meter('store.upsert'),
    sweep: db.meter('store.sweep'),
  }

  function item(meter: Meter, pk: string, sk: string, [v, value, expiry]: Columns): BaseItem {
    if (value) meter.bytes += value.byteLength
    return expiry === null ? { pk, sk, v, value: value ?? undefined } : { pk, sk, v, value: value ?? undefined, expiry }
  }

  function put({ pk, sk, v, value, expiry }: BaseItem): void {
    if (value) meters.upsert.bytes += value.byteLength
    write.run(text(pk), text(sk), v, value ?? null, expiry ?? null)
  }

  const putAll = (items: readonly BaseItem[]) =>
    db.call(meters.upsert, () => {
      if (items.length === 1) put(items[0]!)
      else db.transaction(() => items.forEach(put))
    })

  return {
    batchGet: addresses =>
      db.call(meters.batchGet, () =>
        addresses.map(({ pk, sk }) => {
          const row = read.get(text(pk), text(sk)) as unknown as Columns | undefined
          return row && item(meters.batchGet, pk, sk, row)
        }),
      ),
    range: (pk, from, to, limit) =>
      db.call(meters.range, () =>
        (scan.all(text(pk), text(from), text(to), limit) as unknown as Columns[]).map(row => item(meters.range, pk, row[3], row)),
      ),
    async upsert(items) {
      for (let at = 0; at < items.length; at += ROWS_AT_ONCE) await putAll(items.slice(at, at + ROWS_AT_ONCE))
    },
    sweep: (pk, v, now) =>
      db.call(meters.sweep, () => {
        remove.run(text(pk), v, now)
      }),
  }
}
