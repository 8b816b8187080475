import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { inputOf } from '../../runtime/batch/input.ts'
import { type Job, prepare } from '../../runtime/batch/job.ts'
import { runBounded } from '../../runtime/batch/run.ts'
import { attemptsOf, backfillOf } from '../../runtime/batch/stored/names.ts'
import { partsOf } from '../../runtime/batch/stored/parts.ts'
import { commitStored, forgetStored, sendStored } from '../../runtime/batch/stored/settle.ts'
import { runStoredTask } from '../../runtime/batch/stored/task.ts'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { customSink, fileSink } from '../../runtime/index.ts'
import type { RangedBlobs } from '../../runtime/ports.ts'
import { scratch, seeded, sortedLines } from '../engine/events.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { app, fourHours, linesOf, SINKS } from './archive.ts'
import { write } from './both.ts'

/** Between two looks at whether it is time to pause there are some: each partition pauses. */
const EVENTS = 4000
const NEVER = Number.POSITIVE_INFINITY

/** Four hours in disorder, in two files, and what an embedded backfill makes of them. */
async function archived(t: TestContext) {
  const dir = scratch(t)
  const random = seeded(5)
  const shuffled = fourHours()
    .slice(0, EVENTS)
    .map(e => ({ e, by: e.at + random() * 3_600_000 }))
    .sort((a, b) => a.by - b.by)
    .map(({ e }) => e)
  const files = [shuffled.slice(0, EVENTS / 2), shuffled.slice(EVENTS / 2)].map((events, i) =>
    write(join(dir, `in-${i}`), linesOf(events)),
  )
  const sources = { events: files }
  const sinks = Object.fromEntries(SINKS.map(name => [name, fileSink(join(dir, name))]))
  const summary = await runBounded(app(), { sources, sinks, parallelism: 2, pieceBytes: 200_000 })
  const input = await inputOf(['events'], { sources, pieceBytes: 200_000 })
  const job: Job = { run: 'r1', parallelism: 2, ...input, since: undefined, until: undefined, thenLive: false }
  return { job, summary, wanted: Object.fromEntries(SINKS.map(name => [name, sortedLines(join(dir, name))])) }
}

/** What a sink that can't stage was sent, by commit: one that comes again holds the same. */
function sending(sent: Map<string, string[]>) {
  return customSink<unknown>({
    name: 'sent',
    open({ subtask }) {
      let rows: string[] = []
      return {
        write: row => {
          rows.push(JSON.stringify(row))
        },
        async flush({ version }) {
          const key = `${subtask}-${version}`
          assert.deepEqual(rows, sent.get(key) ?? rows)
          sent.set(key, rows)
          rows = []
        },
      }
    },
  })
}

interface World {
  readonly job: Job
  readonly blobs: RangedBlobs
  readonly sent: Map<string, string[]>
  /** Of each call, as of a function that has just been started. */
  readonly reached: RangedBlobs
  readonly pauses: boolean
}

/** What a function does of a task, again and again until it is through: it may die, and be called twice at a time. */
async function untilThrough(call: () => Promise<boolean>, twice: boolean): Promise<number> {
  for (let calls = 1; ; calls++) {
    if (calls === 400) assert.fail('it is never through')
    const outcomes = await Promise.allSettled(twice ? [call(), call()] : [call()])
    for (const o of outcomes) if (o.status === 'rejected' && !/^died/.test(o.reason.message)) throw o.reason
    if (outcomes.some(o => o.status === 'fulfilled' && o.value)) return calls
  }
}

/** Stage by stage, as the state machine does. */
async function backfill({ job, blobs, sent, reached, pauses }: World, twice: (call: number) => boolean) {
  const sinks = {
    top: blobSink(blobs, 'results/top', 'top'),
    sessions: blobSink(blobs, 'results/sessions', 'sessions'),
    totals: sending(sent),
  }
  let calls = 0
  const prepared = () => prepare(app(), job, '/nowhere', sinks, 20_000)
  const { stages } = prepared().topology()
  const clock = { now: () => 0, sleep: async () => {} }
  const random = { id: () => crypto.randomUUID(), fraction: () => 0.5 }
  const options = { blobs: reached, clock, random, pauseAt: pauses ? 0 : NEVER }
  const each = (work: (stage: number, shard: number) => Promise<boolean>) =>
    stages.reduce(async (before, { stage, parallelism }) => {
      await before
      for (let shard = 0; shard < parallelism; shard++) calls += await untilThrough(() => work(stage.index, shard), twice(calls))
    }, Promise.resolve())
  await each((stage, shard) => runStoredTask(prepared(), { stage, shard }, options))
  await each(async (stage, shard) => {
    if (shard === 0) await commitStored(prepared(), stage, reached)
    return sendStored(prepared(), stage, shard, reached, () => false)
  })
  return { calls, tasks: stages.reduce((n, s) => n + s.parallelism, 0) }
}

async function resultsOf({ blobs, sent }: World): Promise<Record<string, string[]>> {
  const rows = async (name: string) => (await visibleRows(blobs, `results/${name}/`)).map(row => JSON.stringify(row)).sort()
  return { top: await rows('top'), sessions: await rows('sessions'), totals: [...sent.values()].flat().sort() }
}

/** Some calls fail before they have an effect, some behind it: whoever called is dead then. */
function dying(blobs: RangedBlobs, random: () => number, share: number): RangedBlobs {
  const wrap =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const fate = random()
      if (fate < share / 2) throw new Error('died before a call')
      const result = await call(...args)
      if (fate < share) throw new Error('died behind a call')
      return result
    }
  return Object.fromEntries(Object.entries(blobs).map(([name, call]) => [name, wrap(call as never)])) as never
}

// Were a task's input, state or position lost between two parts, or taken twice, a window or a session would tell.
test('tasks that share no disk give what an embedded backfill gives: at one go, in parts, dying anywhere, and called twice', async t => {
  const { job, summary, wanted } = await archived(t)
  for (const [name, share, pauses, twice] of [
    ['at one go', 0, false, false],
    ['in parts, dying, called twice at a time', 0.01, true, true],
  ] as const) {
    const { blobs, close } = await openEmbedded()
    const random = seeded(9)
    const world: World = { job, blobs, sent: new Map(), reached: dying(blobs, random, share), pauses }
    const { calls, tasks } = await backfill(world, n => twice && n % 3 === 0)
    assert.deepEqual(await resultsOf(world), wanted, name)
    if (name === 'at one go') assert.equal(calls, 2 * tasks)
    else assert.ok(calls > 2.5 * tasks, `${name}: ${calls} calls for ${tasks} tasks`)

    // Of the source, and of what reads it: further on, counts that were added up travel in the place of records.
    for (const stage of [0, 1]) {
      const { subtasks, recordsIn: wanted } = summary.stages[stage]!
      assert.equal(await recordsIn(blobs, stage, subtasks), wanted, `${name}: stage ${stage}`)
    }
    assert.equal(await forgetStored(job.run, blobs, () => false), true)
    assert.deepEqual(await blobs.list(attemptsOf(job.run)), [])
    assert.ok((await blobs.list(backfillOf(job.run))).length >= tasks, 'what was done is still on record')
    await close()
  }
})

/** Counts are of all the parts of a task. */
async function recordsIn(blobs: RangedBlobs, stage: number, tasks: number): Promise<number> {
  const last = await Promise.all(
    Array.from({ length: tasks }, async (_, shard) => (await partsOf(blobs, 'r1', stage, shard)).at(-1)!),
  )
  return last.reduce((sum, { counts }) => sum + counts.recordsIn, 0)
}
