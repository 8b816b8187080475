import { encodeChannelState } from '../../runtime/checkpoint/channel-state.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { type Shape, shapeOf } from '../../runtime/graph/shape.ts'
import { boundedOutOfOrderness, count, list, map, ndjson, pipeline, print, sliding, value } from '../../runtime/index.ts'
import type { Clock, Random } from '../../runtime/ports.ts'
import { FrameWriter } from '../../runtime/protocol/frame.ts'
import { writeSavepoint } from '../../runtime/savepoint/write.ts'
import { openTestPipeline } from '../../runtime/testing/index.ts'
import { memoryBlobs } from '../connectors/memory-blobs.ts'
import { anything } from '../graph/pipelines.ts'

interface Visit {
  readonly user: string
  readonly page: string
  readonly at: number
}

/** State of each kind, timers of both clocks, and two stages behind a shuffle. */
function shop() {
  const app = pipeline('shop')
  const visits = app.source('visits', ndjson(anything<Visit>()), { time: v => v.at, watermark: boundedOutOfOrderness('1s') })
  const users = visits.keyBy('user').process({
    state: {
      last: value<number>({ ttl: '1h' }),
      pages: map<string, number>({ version: 2, migrate: { 1: (n: number) => n } }),
      all: list<string>(),
    },
    onRecord(v, ctx) {
      ctx.state.last.set(v.at)
      ctx.state.pages.set(v.page, (ctx.state.pages.get(v.page) ?? 0) + 1)
      ctx.state.all.add(v.page)
      ctx.timers.event.set(v.at + 60_000)
      ctx.timers.processing.set(ctx.processingTime() + 60_000)
      return [v]
    },
    onTimer: () => [],
  })
  users.uid('users').keyBy('page').window(sliding('5m', '1m')).aggregate(count()).uid('pages').sink('counts', print())
  return app
}

export const SHAPE: Shape = JSON.parse(shapeOf(planPhysical(shop().graph(), { parallelism: 2 })))

/** The files of a savepoint of it, by name: always the same. */
export async function shopSavepoint(): Promise<ReadonlyMap<string, Uint8Array>> {
  await using t = await openTestPipeline(shop(), { parallelism: 2 })
  await t.send(
    'visits',
    Array.from({ length: 40 }, (_, i) => ({
      user: `u${i % 7}`,
      page: i % 5 === 0 ? 'x'.repeat(600) : `p${i % 3}`,
      at: i * 5_000,
    })),
  )
  const { manifest, blobs } = await t.snapshot()
  const onTheWay = new FrameWriter()
  onTheWay.record(0, { user: 'u1' }, 7, 'u1', 0)
  const data = onTheWay.finish({ run: 'r', producer: 1, version: 2, attempt: 'a', index: 1, predVersion: 1, predIndex: 1 })
  const from = new Map([...blobs, ['on-the-way', encodeChannelState([{ data, from: 0, to: Number.POSITIVE_INFINITY }])]])
  const to = memoryBlobs()
  const subtasks = manifest.subtasks.map((s, i) =>
    i === manifest.subtasks.length - 1 ? { ...s, channelState: ['on-the-way'] } : s,
  )
  const asIs = { get: async (name: string) => from.get(name) }
  await writeSavepoint({ ...manifest, subtasks }, asIs, to, { kind: 'directory', name: 'd' }, { clock, random: counting() })
  return new Map(await Promise.all(to.keys().map(async key => [key, (await to.get(key))!] as const)))
}

const clock: Clock = { now: () => 1_700_000_000_000, sleep: async () => {} }

function counting(): Random {
  let n = 0
  return { fraction: () => 0.5, id: () => String(n++).padStart(8, '0') }
}
