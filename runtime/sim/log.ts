import { FloorError } from '../embedded/errors.ts'
import type { CommitLog } from '../ports.ts'
import { copyBytes } from './bytes.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'

interface Slot {
  readonly item: Uint8Array
  readonly writtenAt: number
}

interface Slots {
  readonly slots: Map<number, Slot>
  last: number
  floor: number
}

/** What a table of logs holds. */
export interface LogTable {
  readonly logs: ReadonlyMap<string, Slots>
  /** Called for each slot that is written. */
  onSlot: ((log: string, version: number, item: Uint8Array, now: number) => void) | undefined
  /** Called before a floor is raised. */
  onFloor: ((log: string, floor: number) => void) | undefined
  of(log: string): Slots
  get(log: string, version: number): Uint8Array | undefined
  put(log: string, version: number, item: Uint8Array, now: number): boolean
  copy(): LogTable
}

export function openLogTable(logs = new Map<string, Slots>()): LogTable {
  const table: LogTable = {
    logs,
    onSlot: undefined,
    onFloor: undefined,
    of(log) {
      const known = logs.get(log)
      if (known !== undefined) return known
      const fresh = { slots: new Map(), last: 0, floor: 0 }
      logs.set(log, fresh)
      return fresh
    },
    get: (log, version) => logs.get(log)?.slots.get(version)?.item,
    put(log, version, item, now) {
      const at = table.of(log)
      if (at.slots.has(version)) return false
      at.slots.set(version, { item: copyBytes(item), writtenAt: now })
      at.last = Math.max(at.last, version)
      table.onSlot?.(log, version, item, now)
      return true
    },
    copy: () =>
      openLogTable(new Map([...logs].map(([log, { slots, last, floor }]) => [log, { slots: new Map(slots), last, floor }]))),
  }
  return table
}

/** Behind a look that is not consistent, ms. */
const LAG_MS = [1, 5_000] as const

/** DynamoDB, as a commit log: conditional puts, strong reads, and a batch read that may lag and leave keys out. */
export function simLog({ scheduler, dice, faults }: Simulation, table: LogTable, { call }: Pick<Sandbox, 'call'>): CommitLog {
  return {
    putIfAbsent(log, version, item) {
      // An answer that was lost is settled by the port itself, on AWS by an id of the call (aws/log.ts).
      let mine = false
      const apply = () => {
        mine = table.put(log, version, item, scheduler.now) || mine
        return mine
      }
      return call({ name: `log.put ${log} ${version}`, isWrite: true, mayDouble: true, apply })
    },
    get: (log, version) => call({ name: `log.get ${log} ${version}`, apply: () => copyBytes(table.get(log, version)) }),
    batchGet: asked =>
      call({
        name: `log.batchGet ${asked.length}`,
        apply: () => {
          const lag = faults.happens('read lags') ? dice.spread(...LAG_MS) : 0
          return asked.map(({ log, version }) => {
            if (faults.happens('key is left unprocessed')) return 'unknown' as const
            const slot = table.of(log).slots.get(version)
            return slot === undefined || slot.writtenAt > scheduler.now - lag ? undefined : copyBytes(slot.item)
          })
        },
      }),
    range: (log, from, limit) =>
      call({
        name: `log.range ${log} ${from}`,
        apply: () => {
          const { slots, last } = table.of(log)
          const found: { version: number; item: Uint8Array }[] = []
          for (let version = from; version <= last && found.length < limit; version++) {
            const slot = slots.get(version)
            if (slot !== undefined) found.push({ version, item: copyBytes(slot.item) })
          }
          return found
        },
      }),
    floor: log => call({ name: `log.floor ${log}`, apply: () => table.of(log).floor }),
    raiseFloor: (log, floor) =>
      call({
        name: `log.raiseFloor ${log} ${floor}`,
        isWrite: true,
        mayDouble: true,
        apply: () => {
          const at = table.of(log)
          if (floor > at.floor) table.onFloor?.(log, floor)
          at.floor = Math.max(at.floor, floor)
        },
      }),
    expire(log, from, to) {
      const expire = (of: (version: number) => boolean) => {
        const { slots, floor } = table.of(log)
        if (from < to && to > floor) throw new FloorError(log, to, floor)
        for (const version of slots.keys()) if (version >= from && version < to && of(version)) slots.delete(version)
      }
      const apply = () => expire(() => true)
      const applyInPart = () => expire(() => dice.chance(0.5))
      return call({ name: `log.expire ${log} ${from} ${to}`, isWrite: true, apply, applyInPart })
    },
  }
}
