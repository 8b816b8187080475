import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { foldChanges } from '../../bench/reference/fold.ts'
import { loadQuery } from '../../bench/reference/run.ts'
import { scratch } from '../engine/events.ts'
import { sortedLines } from '../reference/expected.ts'
import { bounded, type Results, streaming, write } from './both.ts'
import { inOrder, linesOf } from './perfect.ts'

const DATA = join(import.meta.dirname, '../reference/data')
const EVENTS = 1000
const SIDE = join(DATA, 'side_input.ndjson.gz')

const NEXMARK = '0 1 2 3 4 5 6 7 8 9 11 13 14 15 16 17 18 19 20 21 22'.split(' ').map(n => `q${n}`)
const SHOP = ['e1', 'e2', 'e3', 'e4', 'e5', 'e6']

for (const [dataset, query] of [...NEXMARK.map(q => ['nexmark-late', q] as const), ...SHOP.map(q => ['ecom-late', q] as const)]) {
  test(`${query}: bounded equals streaming, on ordered data, and on disordered data with perfect watermarks`, async t => {
    const dir = scratch(t)
    const graph = async () => (await loadQuery(query, 0)).graph()
    const rows = tableOf((await graph()).nodes.some(n => n.sink?.changelog))
    const lines = query === 'q8' ? sellers() : linesOf(join(DATA, `${dataset}.ndjson.gz`)).slice(0, EVENTS)
    const ordered = inOrder(await graph(), 'events', lines)
    assert.notDeepEqual(ordered, lines)
    const others: Record<string, string> = query === 'q13' ? { side: SIDE } : {}
    const input = (of: readonly string[]) => ({
      events: [write(join(dir, 'events'), of)],
      ...(query === 'q13' && { side: [SIDE] }),
    })

    const perfect = await rows(dir, 'perfect', async out => streaming(await graph(), 'events', ordered, out, { others }))
    const own = await rows(dir, 'own', async out => streaming(await graph(), 'events', ordered, out, { perfect: false, others }))
    const disordered = await rows(dir, 'disordered', async out =>
      bounded(await graph(), input(lines), out, { parallelism: 2, pieceBytes: 100_000 }),
    )
    const inTurn = await rows(dir, 'ordered', async out => bounded(await graph(), input(ordered), out))
    assert.ok(perfect.length > 0)
    assert.deepEqual(disordered, perfect)
    assert.deepEqual(inTurn, own)
  })
}

/** In the late set nobody sells who has just come, so that q8 finds nothing: the other one, out of order. */
function sellers(): string[] {
  const lines = linesOf(join(DATA, 'nexmark-small.ndjson.gz')).slice(0, EVENTS)
  return lines.flatMap((_, i) => (i % 7 === 0 ? lines.slice(i, i + 7).reverse() : []))
}

/** Runs, and gives the rows: of a query whose results are changes, those of the table that they make. */
function tableOf(changelog: boolean) {
  return async (dir: string, name: string, run: (out: string) => Promise<Results>): Promise<readonly string[]> => {
    const out = join(dir, name)
    mkdirSync(out)
    const { results } = await run(out)
    if (!changelog) return results!
    await foldChanges(join(out, 'results'), join(out, 'rows'))
    return sortedLines(join(out, 'rows'))
  }
}
