import * as z from 'zod'
import { spaceIn } from '../../runtime/checkpoint/fold.ts'
import { decodeManifest, type Manifest, manifestsOf } from '../../runtime/checkpoint/manifest.ts'
import { unfoldedRuns } from '../../runtime/checkpoint/unfolded.ts'
import { boundedOutOfOrderness, count, map, ndjson, pipeline, print, tumbling, value } from '../../runtime/index.ts'
import type { StreamRecord } from '../../runtime/ports.ts'
import type { Bucket } from '../../runtime/sim/blobs.ts'
import { isExpected } from '../../runtime/sim/expected-errors.ts'
import { type Faults, NO_FAULTS, openFaults } from '../../runtime/sim/faults.ts'
import type { Services } from '../../runtime/sim/ports.ts'
import { dice } from '../../runtime/sim/random.ts'
import { openScheduler, type Scheduler } from '../../runtime/sim/scheduler.ts'
import { openWorld, sourceStream, type World } from '../../runtime/sim/world.ts'
import { mergeRuns } from '../../runtime/snapshot/runs.ts'
import type { StateBackendName } from '../../runtime/state/backend.ts'

const MINUTE_MS = 60_000
const START = 1_800_000_000_000
/** Of the stream of a source or a stage: Kinesis keeps a day. Mappings go back by a few records at most. */
const RECORDS_KEPT = 5_000

const Event = z.object({ id: z.number(), user: z.string(), page: z.string(), text: z.string(), at: z.number() })

/** State of all kinds that come and go: profiles until their user has been away for long, pages with a TTL, which nobody clears, and windows. */
function app(hour: number) {
  const away = 6 * hour
  const app = pipeline('month', { keyGroups: 16 })
  const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('5s') })
  events
    .keyBy('user')
    .process({
      state: {
        profile: value<{ visits: number; first: number; last: number; text: string }>(),
        pages: map<string, { at: number; text: string }>({ ttl: `${2 * hour}ms` }),
      },
      onRecord(e, ctx) {
        const profile = ctx.state.profile.get()
        ctx.state.profile.set({ visits: (profile?.visits ?? 0) + 1, first: profile?.first ?? e.at, last: e.at, text: e.text })
        ctx.state.pages.set(e.page, { at: e.at, text: e.text })
        ctx.timers.event.set(e.at + away)
        return []
      },
      onTimer(at, ctx) {
        if (at - (ctx.state.profile.get()?.last ?? 0) >= away) ctx.state.profile.clear()
        return []
      },
    })
    .sink('none', print())
  events
    .keyBy('page')
    .window(tumbling(`${hour / 6}ms`))
    .aggregate(count(), (n, { key, window }) => ({ page: key, n, end: window.end }))
    .sink('pages', print())
  return app
}

/** Bytes of what is there, by what it is. */
export interface Storage {
  readonly minute: number
  readonly checkpoints: number
  /** Of the entries that the newest checkpoint holds and that have not expired: keys and values, as they lie in a table. */
  readonly live: number
  readonly entries: number
  readonly rows: number
  readonly bytes: Readonly<Record<string, number>>
  readonly total: number
}

export interface Month {
  readonly minutes: number
  readonly stateBackend: StateBackendName
  readonly faults: boolean
  readonly seed: number
  readonly eventsPerMinute: number
  readonly sampleMinutes: number
  /** How long an hour is of what state goes by: its TTL, its timers, its windows. Minutes; default: 60. */
  readonly hourMinutes?: number
  readonly parallelism?: number
  readonly onSample: (storage: Storage) => void
}

/** So many minutes with a checkpoint each, in the functions that run on AWS. */
export async function month({
  minutes,
  stateBackend,
  faults: withFaults,
  seed,
  eventsPerMinute,
  sampleMinutes,
  hourMinutes = 60,
  parallelism = 2,
  onSample,
}: Month) {
  const random = dice(seed)
  const scheduler = openScheduler(START, random.fork('tie').fraction)
  const faults = withFaults ? nowAndThen(openFaults(random.fork('faults')), scheduler) : NO_FAULTS
  const simulation = { scheduler, dice: random, faults, trace: undefined }
  let failure: unknown
  const deployment = {
    parallelism,
    shards: 1,
    batchMax: 1_000,
    timeoutMs: 60_000,
    checkpointTimeoutMs: 300_000,
    checkpointEveryMs: MINUTE_MS,
    stateBackend,
  }
  const world = openWorld(simulation, {
    app: app(hourMinutes * MINUTE_MS),
    deployment,
    onError: (error, name) => {
      if (!isExpected(error, name)) failure ??= error
    },
  })
  const input = random.fork('input')
  const feed = (minute: number) => {
    for (let i = 0; i < eventsPerMinute; i++) {
      const id = minute * eventsPerMinute + i
      // Users come, stay for some hours, and go.
      const user = `user-${Math.floor((6 * minute) / hourMinutes) - input.below(30)}-${input.below(5 * eventsPerMinute)}`
      const at = START + minute * MINUTE_MS + Math.floor((i * MINUTE_MS) / eventsPerMinute)
      const event = { id, user, page: `page-${input.below(200)}`, text: text(input), at }
      services.kinesis.append(sourceStream('events'), 0, Buffer.from(JSON.stringify(event)), scheduler.now)
    }
    forget(services)
    if (minute % sampleMinutes === 0)
      void sample(world, minute).then(
        s => s && onSample(s),
        error => (failure ??= error),
      )
    if (minute + 1 < minutes) scheduler.after(MINUTE_MS, () => feed(minute + 1))
    else over = true
  }
  const { services } = world
  let over = false
  world.start()
  // Between two checkpoints.
  scheduler.after(MINUTE_MS / 2, () => feed(0))
  await scheduler.run(() => over || failure !== undefined)
  if (failure !== undefined) throw failure
  return { outcomes: world.controller.outcomes, steps: scheduler.steps }
}

/** Two minutes of five: in most weathers hardly a checkpoint is complete as long as they go on. */
function nowAndThen(faults: Faults, scheduler: Scheduler): Faults {
  const isCalm = () => Math.floor(scheduler.now / MINUTE_MS) % 5 > 1
  return { ...faults, happens: fault => fault !== 'stream loses a frame' && !isCalm() && faults.happens(fault) }
}

const WORDS = ['alpine', 'boots', 'camping', 'down', 'easy', 'fleece', 'gloves', 'hat', 'insulated', 'jacket', 'kayak', 'lamp']

function text(input: ReturnType<typeof dice>): string {
  return Array.from({ length: 20 }, () => `${WORDS[input.below(WORDS.length)]}${input.below(100)}`).join(' ')
}

/** Kinesis forgets what is older than its retention. */
function forget({ kinesis }: Services): void {
  for (const records of kinesis.shards.values()) {
    const all = records as StreamRecord[]
    for (let i = all.length - RECORDS_KEPT; i >= 0 && all[i]!.data.length > 0; i--)
      all[i] = { ...all[i]!, data: new Uint8Array() }
  }
}

async function sample({ services, topology }: World, minute: number): Promise<Storage | undefined> {
  const { bucket, log, state } = services
  const manifests = [...bucket.keys()].filter(key => key.startsWith(manifestsOf(topology!.run))).sort()
  const newest = manifests.at(-1)
  if (newest === undefined) return undefined
  const bytes: Record<string, number> = {}
  const add = (kind: string, n: number) => {
    bytes[kind] = (bytes[kind] ?? 0) + n
  }
  for (const [key, data] of bucket) {
    const kind = key.startsWith('results/') ? undefined : key.slice(0, key.indexOf('/'))
    if (kind !== undefined) add(kind === 'segments' && key.includes('-changes-') ? 'changes' : kind, key.length + data.length)
  }
  let rows = 0
  for (const { slots } of log.logs.values()) for (const { item } of slots.values()) add('log', 100 + item.length)
  for (const [pk, items] of state)
    for (const [sk, { value }] of items) {
      rows++
      add(pk.startsWith('marker|') || pk.startsWith('claims|') ? 'markers' : 'rows', pk.length + sk.length + (value?.length ?? 0))
    }
  const manifest: Manifest = decodeManifest(bucket.get(newest)!, newest)
  const { live, entries } = await liveIn(manifest, bucket)
  const total = Object.values(bytes).reduce((sum, n) => sum + n, 0)
  return { minute, checkpoints: manifest.checkpoint, live, entries, rows, bytes, total }
}

/** What a checkpoint holds that anybody can still read. */
async function liveIn(manifest: Manifest, bucket: Bucket): Promise<{ live: number; entries: number }> {
  const then = new Map(bucket)
  const blobs = {
    get: async (key: string) => then.get(key),
    put: async (key: string, data: Uint8Array) => void then.set(key, data),
  }
  const ports = { blobs, random: { id: () => `${then.size}`, fraction: () => 0 } }
  let [live, entries] = [0, 0]
  for (const s of manifest.subtasks) {
    const newest = await unfoldedRuns(manifest.run, spaceIn(manifest, s), s, 'unfolded', blobs, ports)
    for await (const { address, value, expiry } of mergeRuns(blobs, [...(s.runs ?? []), ...newest])) {
      if (value === undefined || (expiry ?? Number.POSITIVE_INFINITY) <= s.head.watermark) continue
      live += manifest.run.length + address.length + value.length
      entries++
    }
  }
  return { live, entries }
}

/** `npx node test/sim/month.ts [MINUTES] [table|segments] [faults] [EVENTS]` */
if (import.meta.main) {
  const [minutes = '43200', stateBackend = 'table', faults = 'none', events = '20'] = process.argv.slice(2)
  const begun = performance.now()
  const { outcomes, steps } = await month({
    minutes: Number(minutes),
    stateBackend: stateBackend as StateBackendName,
    faults: faults === 'faults',
    seed: 1,
    eventsPerMinute: Number(events),
    sampleMinutes: Math.max(1, Math.floor(Number(minutes) / 40)),
    onSample: s => {
      const kb = (n: number) => Math.round(n / 1000)
      const all = Object.entries(s.bytes).map(([kind, n]) => `${kind} ${kb(n)}`)
      console.log(
        `${s.minute}: n=${s.checkpoints} live ${kb(s.live)} KB (${s.entries}), total ${kb(s.total)} = ${(s.total / s.live).toFixed(2)}; rows ${s.rows}; ${all.join(', ')}`,
      )
    },
  })
  console.log(Object.fromEntries(outcomes), steps, `${((performance.now() - begun) / 1000).toFixed(1)} s`)
  process.exit(0)
}
