import { keyGroup } from '../graph/key.ts'
import type { Input } from '../sim/scenario.ts'
import { jsonOf, kindOf, recordsOf, wholeNumber } from './check.ts'
import { TestKitError } from './error.ts'

/** The records of each source as lines, in the shards of its stream. */
export function linesOf(
  sources: readonly string[],
  input: Readonly<Record<string, readonly unknown[]>>,
  shards: number,
  shardBy: ((record: any, source: string) => string | number) | undefined,
): Input {
  wholeNumber('shards', shards, 1)
  if (shards > 1 && shardBy === undefined)
    throw new TestKitError(
      `with ${shards} shards, shardBy has to say which records keep their order, such as record => record.user_id`,
    )
  if (shardBy !== undefined && typeof shardBy !== 'function')
    throw new TestKitError(`shardBy is a function, such as record => record.user_id, not ${kindOf(shardBy)}`)
  return Object.fromEntries(
    sources.map(source => {
      const lines: string[][] = Array.from({ length: shards }, () => [])
      const records = input[source] ?? []
      recordsOf(source, records)
      for (const record of records)
        lines[shards === 1 ? 0 : keyGroup(shardBy!(record, source), shards)]!.push(lineOf(record, source))
      return [source, lines]
    }),
  )
}

function lineOf(record: unknown, source: string): string {
  const text = typeof record === 'string' ? record : jsonOf(record, source)
  if (text !== undefined) return text
  throw new TestKitError(`'${source}' was given ${String(record)}, which is no JSON: give it values, or lines as text`)
}
