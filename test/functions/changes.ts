import * as z from 'zod'
import type { ChangeEvent, ChangeRecord } from '../../runtime/aws/functions/change-event.ts'
import type { BatchResponse } from '../../runtime/aws/functions/event.ts'
import { subtaskOfShard } from '../../runtime/aws/functions/shard-hash.ts'
import { generate, Visit } from './visits.ts'
import { context } from './world.ts'

/** Of changes that put visits into a table. */
export const ChangedVisit = z.object({ kind: z.literal('insert'), new: Visit }).transform(change => change.new)

export interface Shard {
  readonly id: string
  /** Delivered whole before this one. */
  readonly parent?: string
  readonly records: readonly ChangeRecord[]
}

let sequence = 0n
/** Of 21 digits and then, in between, of one more: they are compared as numbers. */
function nextNumber(): string {
  sequence += 1n
  return String(999_999_999_999_999_999_900n + sequence)
}

export function inserted(visit: Record<string, string | number>, at = Number(visit.at)): ChangeRecord {
  const image = Object.entries(visit).map(([k, v]) => [k, typeof v === 'number' ? { N: String(v) } : { S: v }])
  const { id, ...rest } = Object.fromEntries(image)
  const dynamodb = {
    Keys: { id },
    NewImage: { id, ...rest },
    SequenceNumber: nextNumber(),
    ApproximateCreationDateTime: at / 1000,
  }
  return { eventName: 'INSERT', dynamodb }
}

/** The JSON that a source gets of it. */
export function jsonOf(visit: Record<string, string | number>): string {
  return JSON.stringify({ kind: 'insert', keys: { id: visit.id }, new: visit, old: null, at: visit.at })
}

/** Visits of a table whose stream has three shards, each followed by one of its own, and in the end one for each subtask that lets its windows fire. */
export function tableOf(
  n: number,
  subtasks: number,
): { readonly shards: Shard[]; readonly visits: Record<string, string | number>[] } {
  const visits = generate(n, 1)[0]!.map(line => JSON.parse(line))
  const end = visits.pop()
  const shardId = (i: number) => `shardId-0000000170000000${i}-ab12cd3${i}`
  const parents = [0, 1, 2].map(i => visits.filter(v => Number(v.user.slice(1)) % 3 === i))
  const shards: Shard[] = parents.flatMap((all, i) => [
    { id: shardId(i), records: all.slice(0, all.length / 2).map(v => inserted(v)) },
    { id: shardId(i + 3), parent: shardId(i), records: all.slice(all.length / 2).map(v => inserted(v)) },
  ])
  return { shards, visits: [...visits, ...endsOf(end, subtasks, shards)] }
}

function endsOf(end: Record<string, string | number>, subtasks: number, shards: Shard[]) {
  const ends = Array.from({ length: subtasks }, (_, i) => ({ ...end, id: Number(end.id) - i }))
  const ids = Array.from({ length: 50 }, (_, i) => `shardId-end-${i}`)
  for (const [i, visit] of ends.entries())
    shards.push({ id: ids.find(id => subtaskOfShard(id, subtasks) === i)!, parent: '*', records: [inserted(visit)] })
  return ends
}

export function changeEvent({ id }: Shard, records: readonly ChangeRecord[]): ChangeEvent {
  const window = { start: '2026-11-21T18:00:00Z', end: '2026-11-21T18:15:00Z' }
  return { Records: records, shardId: id, window }
}

type Handler = (event: ChangeEvent, context: { getRemainingTimeInMillis(): number }) => Promise<BatchResponse>

/** An event source mapping: each shard by itself, and parents before their children. */
export function changeMapping(shards: readonly Shard[], handler: Handler) {
  const taken = new Map(shards.map(({ id }) => [id, 0]))
  const isThrough = ({ id, records }: Shard) => taken.get(id) === records.length
  const isOpen = ({ parent }: Shard) =>
    parent === '*' ? shards.every(s => s.parent === '*' || isThrough(s)) : shards.every(s => s.id !== parent || isThrough(s))
  const nextAt = ({ id, records }: Shard) => records[taken.get(id)!]!.dynamodb.ApproximateCreationDateTime!
  return {
    /** One batch, of the shard that is behind most. */
    async step(limit = 10): Promise<boolean> {
      const ready = shards.filter(s => isOpen(s) && !isThrough(s))
      const [shard] = ready.toSorted((a, b) => nextAt(a) - nextAt(b))
      if (shard !== undefined) {
        const from = taken.get(shard.id)!
        const batch = shard.records.slice(from, from + limit)
        const { batchItemFailures } = await handler(JSON.parse(JSON.stringify(changeEvent(shard, batch))), context())
        const failed = batchItemFailures[0]?.itemIdentifier
        const through = failed === undefined ? batch.length : batch.findIndex(r => r.dynamodb.SequenceNumber === failed)
        taken.set(shard.id, from + through)
      }
      return ready.length > 0
    },
  }
}
