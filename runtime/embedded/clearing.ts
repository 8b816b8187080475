import type { Clearing } from '../ports.ts'
import { type Database, text } from './database.ts'

/** Floors are in a table of their own. */
export function embeddedClearing(db: Database): Clearing {
  const slots = {
    scan: db.prepare('select log, version from slots where (log, version) > (?, ?) order by log, version limit ?'),
    remove: db.prepare('delete from slots where log = ? and version = ?'),
    meter: db.meter('clearing.log'),
    first: ['', -1] as Place,
  }
  const items = {
    scan: db.prepare('select pk, sk from base where (pk, sk) > (?, ?) order by pk, sk limit ?'),
    remove: db.prepare('delete from base where pk = ? and sk = ?'),
    meter: db.meter('clearing.state'),
    first: ['', ''] as Place,
  }

  function clear(table: typeof slots, isLeft: (name: string) => boolean, after: string | undefined, limit: number) {
    return db.call(table.meter, () => {
      const [name, place] = after === undefined ? table.first : (JSON.parse(after) as Place)
      const rows = table.scan.all(text(name), column(place), limit) as unknown as Place[]
      const left = rows.filter(([name]) => isLeft(name))
      db.transaction(() => {
        for (const [name, place] of left) table.remove.run(text(name), column(place))
      })
      return { deleted: left.length, next: rows.length < limit ? undefined : JSON.stringify(rows.at(-1)) }
    })
  }

  return { log: (...page) => clear(slots, ...page), state: (...page) => clear(items, ...page) }
}

/** In a table's primary key: a log and a version, or `pk` and `sk`. */
type Place = readonly [name: string, place: string | number]

const column = (place: string | number) => (typeof place === 'string' ? text(place) : place)
