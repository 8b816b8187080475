import type { Address, BaseItem, KeyedStore } from '../ports.ts'
import { fromRow, number, objectOf, sortKey, toRow, versionOf } from './base-row.ts'
import { eachConcurrently } from './concurrency.ts'
import { ServiceUnavailableError, ValueLostError } from './errors.ts'
import { type Expression, key, type Row } from './row.ts'
import type { Spill } from './spill.ts'
import type { Table } from './table.ts'

/** An item may have 400 KB; this leaves room for the longest key. */
const INLINE_BYTES_MAX = 395_000
/** Behind every sort key. */
const LAST = ';'
/** Rows that change each time they are looked at. */
const RACES_MAX = 20

/** One row an entry; values too large for one lie in `spilled`, and go from there when their row does. */
export function dynamodbStore(table: Table, spilled: Spill): KeyedStore {
  async function read(row: Row): Promise<BaseItem> {
    for (let races = 0; ; races++) {
      const object = objectOf(row)
      if (object === undefined) return fromRow(row, undefined)
      const value = await spilled.get(object)
      if (value !== undefined) return fromRow(row, value)
      // Overwritten or swept since the row was read: the row says what holds now. One that still names the object has lost it.
      const now = await table.get(row.pk!.S!, row.sk!.S!)
      // As what it was before it was swept, so that a range that is shorter than its limit still means its end.
      if (now === undefined) return { ...fromRow(row, undefined), value: undefined }
      if (objectOf(now) === object || races === RACES_MAX) throw lost(now, object)
      row = now
    }
  }

  /** In the order of `rows`. */
  async function readAll(rows: readonly Row[]): Promise<BaseItem[]> {
    const items: BaseItem[] = rows.map(row => fromRow(row, undefined))
    const outside = [...rows.keys()].filter(i => objectOf(rows[i]!) !== undefined)
    await eachConcurrently(outside, async i => {
      items[i] = await read(rows[i]!)
    })
    return items
  }

  function lost(row: Row, object: string): ValueLostError {
    return new ValueLostError(
      table.resource,
      `the value of '${row.sk!.S}' of '${row.pk!.S}' in ${table.resource} lies in object ${object}, which is gone: has the bucket a rule that deletes? ` +
        'Restore a savepoint into a new run',
    )
  }

  async function write(item: BaseItem): Promise<void> {
    const large = item.value !== undefined && item.value.byteLength > INLINE_BYTES_MAX
    const object = large ? await spilled.put(item, item.v, item.value!) : undefined
    if (!(await replace(toRow(item, object), item.v)) && object !== undefined) await spilled.delete(object)
  }

  /**
   * Writes the row where a lower version is, or none. The first put leaves a row alone that names an object; only the second, which names that
   * object, replaces it: so the object's name is known when it has to go. True: the row, or its object, is there.
   */
  async function replace(row: Row, v: number): Promise<boolean> {
    let old: string | undefined
    for (let races = 0; races < RACES_MAX; races++) {
      const found = await table.put(row, guard(v, old))
      const now = found && objectOf(found)
      if (old !== undefined && old !== now) await spilled.delete(old)
      if (found === undefined) return true
      // A lost answer makes a call fail on what it wrote itself.
      if (versionOf(found) >= v) return now !== undefined && now === objectOf(row)
      old = now
    }
    throw new ServiceUnavailableError(
      table.resource,
      `'${row.sk!.S}' of '${row.pk!.S}' in ${table.resource} changes faster than it can be written`,
    )
  }

  return {
    async batchGet(addresses) {
      const keys = new Map(addresses.map(address => [id(address), key(address.pk, sortKey(address.sk))]))
      const { rows } = await table.batchGet([...keys.values()], { consistent: true, retry: true })
      const found = new Map((await readAll(rows)).map(item => [id(item), item]))
      const answered = new Set<string>()
      return addresses.map(address => {
        const item = found.get(id(address))
        // Bytes of an answer are the caller's, also where it asked twice.
        if (item === undefined || !answered.has(id(address))) {
          answered.add(id(address))
          return item
        }
        return { ...item, value: item.value?.slice() }
      })
    },
    async range(pk, from, to, limit) {
      if (Buffer.compare(Buffer.from(from), Buffer.from(to)) >= 0) return []
      const rows: Row[] = []
      for await (const page of table.query({ pk, from: sortKey(from), to: sortKey(to), limit })) rows.push(...page)
      // BETWEEN takes its upper end in.
      if (rows.at(-1)?.sk?.S === sortKey(to)) rows.pop()
      return readAll(rows)
    },
    upsert: items => eachConcurrently(items, write),
    async sweep(pk, v, now) {
      const filter = dead(v, now)
      for await (const rows of table.query({ pk, from: sortKey(''), to: LAST, filter })) {
        await eachConcurrently(rows, async row => {
          const seen: Expression = { text: '#v = :v', values: { ':v': row.v! } }
          const object = objectOf(row)
          if ((await table.delete(pk, row.sk!.S!, seen)) && object !== undefined) await spilled.delete(object)
        })
      }
    },
  }
}

function id({ pk, sk }: Address): string {
  return `${pk.length}|${pk}|${sk}`
}

function guard(v: number, old: string | undefined): Expression {
  const values = { ':v': number(v) }
  if (old === undefined) return { text: 'attribute_not_exists(#sk) OR (#v < :v AND attribute_not_exists(#object))', values }
  return { text: '#v < :v AND #object = :old', values: { ...values, ':old': { S: old } } }
}

/** Tombstones, and what expired before `now`, up to version `v`. */
function dead(v: number, now: number): Expression {
  const tombstone = '(attribute_not_exists(#value) AND attribute_not_exists(#object))'
  if (now === Number.NEGATIVE_INFINITY) return { text: `#v <= :v AND ${tombstone}`, values: { ':v': number(v) } }
  return { text: `#v <= :v AND (${tombstone} OR #expiry < :now)`, values: { ':v': number(v), ':now': number(now) } }
}
