import type { BaseItem, KeyedStore } from '../ports.ts'
import { type Database, type Meter, text } from './database.ts'
import { neighbours } from './neighbours.ts'

type Columns = [v: number, value: Uint8Array | null, expiry: number | null, sum: number, sk: string]

/** Of one transaction: a tenth of a second or so, in which nothing else is done. */
const ROWS_AT_ONCE = 10_000

export function embeddedStore(db: Database): KeyedStore {
  const read = db.prepare('select v, value, expiry, sum from base where pk = ? and sk = ?')
  const scan = db.prepare('select v, value, expiry, sum, sk from base where pk = ? and sk >= ? and sk < ? order by sk limit ?')
  const write = db.prepare(
    'insert into base (pk, sk, v, value, expiry, sum) values (?, ?, ?, ?, ?, ?) ' +
      'on conflict do update set v = excluded.v, value = excluded.value, expiry = excluded.expiry, sum = excluded.sum where excluded.v > v',
  )
  const remove = db.prepare('delete from base where pk = ? and v <= ? and (value is null or expiry < ?)')
  const beside = neighbours(db, 'base', 'pk', 'sk')
  const meters = {
    batchGet: db.meter('store.batchGet'),
    range: db.meter('store.range'),
    upsert: db.meter('store.upsert'),
    sweep: db.meter('store.sweep'),
  }

  function item(meter: Meter, pk: string, sk: string, [v, value, expiry, sum]: Columns): BaseItem {
    db.verify('base', columns(pk, sk, v, value, expiry), value, sum)
    if (value) meter.bytes += value.byteLength
    return expiry === null ? { pk, sk, v, value: value ?? undefined } : { pk, sk, v, value: value ?? undefined, expiry }
  }

  function put({ pk, sk, v, value, expiry }: BaseItem): void {
    if (value) meters.upsert.bytes += value.byteLength
    const sum = db.sum(columns(pk, sk, v, value, expiry), value)
    write.run(text(pk), text(sk), v, value ?? null, expiry ?? null, sum)
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
          if (row) return item(meters.batchGet, pk, sk, row)
          beside.verify(pk, sk)
          return undefined
        }),
      ),
    range: (pk, from, to, limit) =>
      db.call(meters.range, () => {
        const rows = scan.all(text(pk), text(from), text(to), limit) as unknown as Columns[]
        const items = rows.map(row => item(meters.range, pk, row[4], row))
        beside.verifyRange(pk, from, items.at(-1)?.sk)
        return items
      }),
    async upsert(items) {
      for (let at = 0; at < items.length; at += ROWS_AT_ONCE) await putAll(items.slice(at, at + ROWS_AT_ONCE))
    },
    sweep: (pk, v, now) =>
      db.call(meters.sweep, () => {
        remove.run(text(pk), v, now)
      }),
  }
}

/** As CHECKED has them. */
function columns(
  pk: string,
  sk: string,
  v: number,
  value: Uint8Array | null | undefined,
  expiry: number | null | undefined,
): string {
  return `${pk}\0${sk}\0${v}\0${expiry ?? ''}\0${value ? 0 : 1}`
}
