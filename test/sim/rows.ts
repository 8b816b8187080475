import { type Bucket, keysOf } from '../../runtime/sim/blobs.ts'
import type { World } from '../../runtime/sim/world.ts'
import type { Rows } from './scenario.ts'

/** What readers of each sink see: runs in their order, in each the objects in theirs. */
export function rowsOf({ services: { bucket }, plan }: World): Rows {
  const sinks = plan.stages.flatMap(s => s.nodes.flatMap(n => n.sink?.name ?? []))
  return Object.fromEntries(sinks.map(name => [name, visible(bucket, `results/${name}/`)]))
}

function visible(bucket: Bucket, prefix: string): any[] {
  // The ids of runs begin with a number, in 36 digits, that rises.
  const run = (key: string) => Number.parseInt(/run=([^-/]+)/.exec(key)![1]!, 36)
  const keys = keysOf(bucket, prefix).sort((a, b) => run(a) - run(b))
  return keys.flatMap(key =>
    textOf(bucket, key)
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line)),
  )
}

export function sorted(rows: Rows): Record<string, string[]> {
  return Object.fromEntries(Object.entries(rows).map(([sink, all]) => [sink, all.map(r => JSON.stringify(r)).sort()]))
}

/** Dead letters that were kept: of each what it is a letter of, once for each place in a stream. */
export function lettersOf({ services: { bucket } }: World): any[] {
  return keysOf(bucket, 'dead-letters/').map(key => JSON.parse(textOf(bucket, key)))
}

function textOf(bucket: Bucket, key: string): string {
  return Buffer.from(bucket.get(key)!).toString()
}
