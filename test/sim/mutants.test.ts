import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { changed, ROOT } from './changes.ts'
import { mutants } from './mutants.ts'
import { changesOf, kinds } from './small.ts'
import { withWorker } from './workers.ts'

test('what is planted, or made small, stands in the source', () => {
  const small = Array.from({ length: kinds }, (_, seed) => changesOf(seed))
  for (const changes of [...small, ...mutants.map(m => m.changes)]) {
    const sources = new Map<string, string>()
    for (const change of changes) {
      const { file } = change
      sources.set(file, changed(sources.get(file) ?? readFileSync(new URL(file, ROOT), 'utf8'), change))
    }
  }
})

test('a simulation imports each file in which something is planted', { timeout: 120_000 }, async () => {
  const files = new Map(mutants.flatMap(m => m.changes).map(change => [change.file, change]))
  const changes = [...files.values()].map(change => ({ ...change, by: change.text }))
  await withWorker({ changes, pipeline: undefined }, worker =>
    worker.run({ seeds: [0] }, ({ error }) => assert.equal(error, undefined)),
  )
})
