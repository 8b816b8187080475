import { FloorError } from '../embedded/errors.ts'
import type { CommitLog, Random } from '../ports.ts'
import { TooLargeError } from './errors.ts'
import { key, type Row, rowBytes } from './row.ts'
import type { Table } from './table.ts'

const ITEM_BYTES_MAX = 400 << 10
/** Holds 2^53, so that the order of the sort key is that of versions. */
const DIGITS = 16
/** Beside the slots of a log: behind all versions in the order of the sort key, and in no range of them. */
export const FLOOR = 'floor'

/** One row a slot: `item`, and by whom it was written. */
export function dynamodbLog(table: Table, random: Random): CommitLog {
  const slots = (log: string, from: number, to: number) => ({
    pk: log,
    from: formatVersion(Math.max(from, 0)),
    to: formatVersion(to),
  })

  const floorOf = async (log: string) => Number((await table.get(log, FLOOR))?.floor?.N ?? 0)

  return {
    async putIfAbsent(log, version, item) {
      const writer = random.id()
      const row: Row = { ...key(log, formatVersion(version)), item: { B: item }, writer: { S: writer } }
      const bytes = rowBytes(row)
      if (bytes > ITEM_BYTES_MAX) {
        const remedy =
          'give the stage more subtasks, or read and write fewer streams in it, so that a commit names fewer channels'
        throw new TooLargeError(table.resource, `commit ${version} of log ${log}`, bytes, ITEM_BYTES_MAX, remedy)
      }
      const found = await table.put(row, { text: 'attribute_not_exists(#sk)' })
      // When an answer was lost and the put repeated, the slot is taken by this very call.
      return found === undefined || found.writer?.S === writer
    },
    get: async (log, version) => (await table.get(log, formatVersion(version)))?.item?.B,
    async batchGet(asked) {
      const keys = new Map(
        asked.map(({ log, version }) => [slotId(log, formatVersion(version)), key(log, formatVersion(version))]),
      )
      const { rows, unprocessed } = await table.batchGet([...keys.values()], { consistent: false, retry: false })
      const found = new Map<string, Uint8Array | 'unknown'>()
      for (const row of rows) found.set(slotId(row.pk!.S!, row.sk!.S!), row.item!.B!)
      for (const row of unprocessed) found.set(slotId(row.pk!.S!, row.sk!.S!), 'unknown')
      return unshared(asked.map(({ log, version }) => found.get(slotId(log, formatVersion(version)))))
    },
    async range(log, from, limit) {
      const found: { version: number; item: Uint8Array }[] = []
      for await (const rows of table.query({ ...slots(log, from, Number.MAX_SAFE_INTEGER), limit })) {
        for (const row of rows) found.push({ version: Number(row.sk!.S), item: row.item!.B! })
      }
      return found
    },
    floor: floorOf,
    async raiseFloor(log, floor) {
      const values = { ':floor': { N: String(floor) } }
      await table.update(
        log,
        FLOOR,
        { text: 'SET #floor = :floor', values },
        { text: 'attribute_not_exists(#floor) OR #floor < :floor' },
      )
    },
    async expire(log, from, to) {
      if (from >= to) return
      const floor = await floorOf(log)
      if (to > floor) throw new FloorError(log, to, floor)
      for await (const rows of table.query({ ...slots(log, from, to - 1), attributes: ['pk', 'sk'] })) {
        await table.batchDelete(rows)
      }
    },
  }
}

function formatVersion(version: number): string {
  return String(version).padStart(DIGITS, '0')
}

function slotId(log: string, sk: string): string {
  return `${sk}${log}`
}

/** An item that was asked for twice is answered twice: its bytes may be changed in one answer. */
function unshared<T>(answers: T[]): T[] {
  const seen = new Set<T>()
  return answers.map(answer => {
    if (!(answer instanceof Uint8Array)) return answer
    if (seen.has(answer)) return answer.slice() as T
    seen.add(answer)
    return answer
  })
}
