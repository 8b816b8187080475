import assert from 'node:assert/strict'
import * as z from 'zod'
import { type FoldLimits, materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint } from '../../runtime/checkpoint/steps.ts'
import { monotonous, ndjson, type Pipeline, pipeline, print, value } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import { dice } from '../../runtime/sim/random.ts'
import { batch, harness } from '../engine/harness.ts'

const Row = z.object({ key: z.string(), text: z.string() })

/** The last text of each key: of so many bytes that each commit's changes are an object. */
function texts(): Pipeline {
  const app = pipeline('texts')
  app
    .source('rows', ndjson(Row), { time: () => 0, watermark: monotonous() })
    .keyBy('key')
    .process({
      state: { last: value<string>() },
      onRecord({ key, text }, { state }) {
        if (text === '') return [{ key, last: state.last.get() ?? null }]
        if (text === 'clear') state.last.clear()
        else state.last.set(text)
        return []
      },
    })
    .sink('out', print())
  return app
}

const KEYS = ['a', 'b', 'c', 'd', 'e']
export const KEPT: FoldLimits = { bytesMax: 1e9, checkpointsMax: 100 }
export const FOLDED: FoldLimits = { bytesMax: 0, checkpointsMax: 0 }

function inputOf(rows: number) {
  const random = dice(7)
  const text = () => Array.from({ length: 3000 }, () => String.fromCharCode(33 + random.below(90))).join('')
  return Array.from({ length: rows }, (_, i) => ({ key: KEYS[i % 4]!, text: i % 11 === 10 ? 'clear' : text() }))
}

/** A run whose stage commits one row at a time. */
export async function openTexts() {
  const h = await harness(texts())
  const [source, stage] = [h.environment(0), h.environment(1)]
  const all = inputOf(140)
  let fed = 0
  const feed = async (to: number) => {
    for (; fed < to; fed++) {
      await source.deliverSource(() => ({ ...batch(all, fed, fed + 1), done: false }))
      await h.deliver(stage)
    }
  }
  /** Gives the stage's part. */
  const checkpoint = async (defer: FoldLimits, ports: Ports = h.ports) => {
    const start = await startCheckpoint(h.topology, h.ports)
    await source.cutSource(start.checkpoint)
    await h.deliver(stage)
    const { parts } = await collectParts(h.topology, start.checkpoint, h.ports)
    const done = await Promise.all(parts.map(part => materialisePart(h.topology, start, part, ports, { defer })))
    assert.equal((await completeCheckpoint(h.topology, start, parts, done, h.ports)).outcome, 'complete')
    return done.at(-1)!
  }
  const expected = () => {
    const last = new Map(KEYS.map(key => [key, null as string | null]))
    for (const { key, text } of all.slice(0, fed)) last.set(key, text === 'clear' ? null : text)
    return KEYS.map(key => ({ key, last: last.get(key) }))
  }
  /** What a cold environment on these ports has of each key. */
  const asked = async (ports: Ports) => {
    await source.deliverSource(() =>
      batch([...all.slice(0, fed), ...KEYS.map(key => ({ key, text: '' }))], fed, fed + KEYS.length),
    )
    await h.deliver(h.environment(1, 0, { ports }))
    return h.results()
  }
  return { h, stage, feed, checkpoint, expected, asked }
}
