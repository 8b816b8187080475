import { FOLD_LIMITS } from '../../runtime/aws/functions/materialise.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { systemRandom } from '../../runtime/embedded/clock.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import type { StateBackendName } from '../../runtime/state/backend.ts'
import { openController } from './controller.ts'
import type { Events } from './events.ts'
import machine from './machine.json' with { type: 'json' }
import { noSizes } from './metered-ports.ts'
import { openPart, type Part, shardId, type World } from './parts.ts'
import { noUsage, since, sum, type Usage } from './usage.ts'

export interface Simulation {
  readonly app: Pipeline
  readonly events: Events
  /** Events a second. */
  readonly rate: number
  /** Shards of the source's own stream. */
  readonly sourceShards: number
  readonly parallelism: number
  /** Of all mappings. */
  readonly windowSeconds: number
  /** Seconds before anything counts; whole minutes, as what is measured has to have its share of checkpoints. */
  readonly warmSeconds: number
  readonly seconds: number
  readonly asksOthers: boolean
  /** Default: table. */
  readonly stateBackend?: StateBackendName
}

export interface Stage {
  readonly id: string
  readonly subtasks: number
  readonly source: boolean
  readonly usage: Usage
}

export interface Simulated {
  /** Of event time that was measured. */
  readonly seconds: number
  readonly events: number
  readonly stages: readonly Stage[]
  /** Cuts, folding, the controller's steps, and their transitions: of each checkpoint. */
  readonly taking: readonly Usage[]
  /** The schedule's looks. */
  readonly looking: Usage
}

/** Lambda polls a shard once a second. */
const POLL_SECONDS = 1
export const CHECKPOINT_SECONDS = 60
/** What Lambda hands over at a time: of the source as many records as it takes, of a stage's stream as the construct has it. */
const RECORDS_MAX = 10_000
const FRAMES_MAX = 100
const EVENT_BYTES_MAX = 6_000_000
/** Of a record in an event beside its data. */
const RECORD_BYTES = 300
const START = Date.UTC(2026, 10, 21, 12)

/** From one batch of a shard to the next: a window begins with the first record that was polled, so that it takes in half a poll more on average. */
export function batchSeconds(windowSeconds: number): number {
  return windowSeconds === 0 ? POLL_SECONDS : windowSeconds + POLL_SECONDS / 2
}

/** Runs the pipeline's own functions on the embedded ports, by a clock that is moved: as many records in each batch as would have come. */
export async function simulate(options: Simulation): Promise<Simulated> {
  const clock = { now: START }
  const ports = await openEmbedded({ clock: { now: () => clock.now, sleep: realSleep }, random: systemRandom })
  const world: World = {
    app: options.app,
    ports,
    sizes: noSizes(),
    settings: {
      prefix: 'bill',
      tables: { log: 'log', state: 'state' },
      bucket: 'bucket',
      options: { parallelism: options.parallelism },
      sources: Object.fromEntries(sourcesOf(options.app).map(name => [name, { kind: 'kinesis', stream: 'events' } as const])),
      sinks: {},
      timeoutMs: undefined,
      memoryMb: machine.memoryGb * 1024,
      ...(options.stateBackend && { stateBackend: options.stateBackend }),
    },
    sourceShards: options.sourceShards,
    asksOthers: options.asksOthers,
  }
  const { topology } = await openPart(world, undefined).environment.run()
  const stages = topology.stages.map(({ stage, parallelism }) => {
    // Lambda invokes for each shard at the same time, so that each has an environment, and its memory, for itself.
    const subtasks = Array.from({ length: parallelism }, () => {
      const part = openPart(world, stage.id)
      return { part, deliver: stageHandler(part.environment) }
    })
    return { id: stage.id, index: stage.index, source: stage.source !== undefined, subtasks }
  })
  const everySeconds = batchSeconds(options.windowSeconds)
  const source = openSource(options)
  /** When each stage has its next batch: not all at the same time. */
  const due = stages.map((_, i) => START + 1000 * (everySeconds + (i * everySeconds) / stages.length))

  async function catchUp(): Promise<void> {
    const now = clock.now
    for (;;) {
      const at = Math.min(...due)
      if (at > now) break
      const i = due.indexOf(at)
      due[i] = at + everySeconds * 1000
      clock.now = at
      await batch(stages[i]!, at)
    }
    clock.now = now
  }

  async function batch({ id, index, source: isSource, subtasks }: (typeof stages)[number], at: number) {
    for (const [shard, { part, deliver }] of subtasks.entries()) {
      if (isSource) for (const event of source.batches(shard, at)) await part.invoke(event, deliver)
      else await drain(ports, topology.stream(index), shard, part, deliver, id)
    }
    if (isSource) source.taken()
  }

  const taking: Part[] = []
  const looking: Part[] = []
  const controller = openController(
    (name, stage) => {
      const part = openPart(world, stage)
      ;(name === 'look' ? looking : taking).push(part)
      return part
    },
    stages.filter(s => s.source).map(s => s.id),
    options.windowSeconds,
    clock,
    catchUp,
    { ...FOLD_LIMITS, checkpointsMax: Math.min(FOLD_LIMITS.checkpointsMax, options.seconds / CHECKPOINT_SECONDS - 1) },
  )
  const look = () => ({
    stages: stages.map(({ subtasks }) => sum(subtasks.map(({ part }) => part.usage))),
    looking: sum(looking.map(p => p.usage)),
    events: source.sent,
  })
  const none = { ...look(), stages: stages.map(() => noUsage()), looking: noUsage(), events: 0 }
  let before = none
  const taken: Usage[] = []
  const end = START + (options.warmSeconds + options.seconds) * 1000
  for (let at = START + CHECKPOINT_SECONDS * 1000; at <= end; at += CHECKPOINT_SECONDS * 1000) {
    clock.now = Math.max(clock.now, at)
    await catchUp()
    const earlier = sum(taking.map(p => p.usage))
    const took = await controller.tick(at)
    if (at > START + options.warmSeconds * 1000 && took) taken.push(since(earlier, sum(taking.map(p => p.usage))))
    if (at === START + options.warmSeconds * 1000) before = look()
  }
  const after = look()
  await ports.close()
  return {
    seconds: options.seconds,
    events: after.events - before.events,
    stages: stages.map(({ id, source, subtasks }, i) => ({
      id,
      source,
      subtasks: subtasks.length,
      usage: since(before.stages[i]!, after.stages[i]!),
    })),
    taking: taken,
    looking: since(before.looking, after.looking),
  }
}

function sourcesOf(app: Pipeline): string[] {
  return app.graph().nodes.flatMap(node => node.source?.name ?? [])
}

type Deliver = ReturnType<typeof stageHandler>

/** The frames of a shard, as long as there are some. */
async function drain(ports: Ports, stream: string, shard: number, part: Part, deliver: Deliver, stage: string): Promise<void> {
  let after: string | undefined
  for (;;) {
    const frames = await ports.streams.poll(stream, shard, after, FRAMES_MAX, EVENT_BYTES_MAX * 0.7)
    if (frames.length === 0) return
    const Records = frames.map(({ seq, data, arrivedAt }) =>
      record(shard, seq.replace(/^0+(?=\d)/, ''), Buffer.from(data), arrivedAt),
    )
    const { batchItemFailures } = await part.invoke({ Records }, deliver)
    if (batchItemFailures.length > 0) throw new Error(`a batch of ${stage} failed`)
    after = frames.at(-1)!.seq
    await ports.streams.trim(stream, shard, after)
  }
}

function record(shard: number, sequenceNumber: string, data: Buffer, arrivedAt: number) {
  return {
    eventID: `${shardId(shard)}:${sequenceNumber}`,
    kinesis: { sequenceNumber, data: data.toString('base64'), approximateArrivalTimestamp: arrivedAt / 1000 },
  }
}

/** Events that come evenly over time, in turn to each shard. */
function openSource({ events, rate, sourceShards }: Simulation) {
  let sent = 0
  let waiting: { line: Buffer; at: number; seq: string }[][] = []
  const source = {
    get sent() {
      return sent
    },
    /** What has come until `at`: in as many events as it takes. */
    *batches(shard: number, at: number) {
      if (waiting.length === 0) fill(at)
      let Records: object[] = []
      let bytes = 0
      for (const { line, at: arrived, seq } of waiting[shard]!) {
        const size = Math.ceil(line.length / 3) * 4 + RECORD_BYTES
        if (Records.length === RECORDS_MAX || bytes + size > EVENT_BYTES_MAX) {
          yield { Records }
          Records = []
          bytes = 0
        }
        bytes += size
        Records.push(record(shard, seq, line, arrived))
      }
      if (Records.length > 0) yield { Records }
    },
    /** All shards have had theirs. */
    taken() {
      waiting = []
    },
  }
  function fill(at: number): void {
    waiting = Array.from({ length: sourceShards }, () => [])
    const until = Math.floor(((at - START) * rate) / 1000)
    for (; sent < until; sent++) {
      const time = START + (sent * 1000) / rate
      waiting[sent % sourceShards]!.push({ line: Buffer.from(events.next(time)), at: Math.floor(time), seq: String(sent + 1) })
    }
  }
  return source
}

const realSleep = (ms: number, signal?: AbortSignal) =>
  new Promise<void>(resolve => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
