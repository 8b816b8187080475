import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { runQuery } from '../../bench/reference/run.ts'
import { scratch } from '../engine/events.ts'
import { difference, digest, digests, sortedLines } from './expected.ts'

const DATA = join(import.meta.dirname, 'data')

/** One test for each query that Flink has answered on a data set, at parallelism 1 and 4. */
export function holdToFlink(dataset: string, boundMs: number, queries: readonly string[]): void {
  for (const query of queries) {
    test(`${query} of ${dataset}: what Flink answers, at parallelism 1 and 4`, async t => {
      const expected = digests[dataset]?.[query]
      assert.ok(expected !== undefined, `there is no digest of ${dataset}/${query}: see test/reference/expected.ts`)
      for (const parallelism of [1, 4]) {
        const out = join(scratch(t), 'results.ndjson')
        const side = query === 'q13' ? join(DATA, 'side_input.ndjson.gz') : undefined
        const events = join(DATA, `${dataset}.ndjson.gz`)
        const summary = await runQuery({ query, events, boundMs, out, side, parallelism, checkpointMs: 600_000 })
        assert.equal(summary.outcome, 'finished')
        assert.equal(summary.deadLetters, 0)
        const found = sortedLines(out)
        if (digest(found).sha256 === expected.sha256) continue
        const rows: string = `${found.length} rows instead of ${expected.rows}`
        assert.fail(`parallelism ${parallelism}, ${rows}: ${JSON.stringify(difference(dataset, query, found), null, 2)}`)
      }
    })
  }
}
