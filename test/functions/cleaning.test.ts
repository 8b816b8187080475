import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openCleaner } from '../../runtime/aws/functions/clean.ts'
import { cleaningBehind } from '../../runtime/aws/functions/cleaning.ts'
import { type CleaningPolicy, cleanFormerRuns } from '../../runtime/checkpoint/cleaning.ts'
import { decisions } from '../../runtime/checkpoint/decision.ts'
import { holding } from '../../runtime/checkpoint/hold.ts'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { completeCheckpoints } from '../../runtime/checkpoint/restore.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { within } from '../../runtime/connectors/within.ts'
import { logsOf } from '../../runtime/inspect/stages.ts'
import type { Clearing, Ports } from '../../runtime/ports.ts'
import { FENCED } from '../../runtime/protocol/log.ts'
import { writeSavepoint } from '../../runtime/savepoint/write.ts'
import { faulty } from '../engine/harness.ts'
import { expected, sorted } from './embedded-run.ts'
import type { EmbeddedWorld } from './embedded-world.ts'
import { joinSources, restoreStack, stackWorld } from './restored.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const input = generate(400, 2)
const embedded = await expected(visits(), input, 2)
const FIRST = 150
const HOUR_MS = 3_600_000
const POLICY: CleaningPolicy = { keepMs: 24 * HOUR_MS, deletesMax: 15, workMs: 60_000, page: 10 }
/** Calls until all is through: far more than it takes. */
const CALLS_MAX = 500

const runOf = async ({ ports }: EmbeddedWorld) => (await readRun(ports))!

/** A stack whose run takes two checkpoints, and is then replaced so many times, each time from the newest. */
async function open({ restarts = 1, app = visits() } = {}) {
  const world = await stackWorld(
    input.map(records => records.slice(0, FIRST)),
    undefined,
    app,
  )
  const mappings = deploy(world, world.topology)
  for (const steps of [40, 60]) {
    for (const m of mappings) await m.step(steps)
    assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  }
  const runs = [await runOf(world)]
  for (let i = 0; i < restarts; i++) {
    await restart(world)
    runs.push(await runOf(world))
    await drain(mappings, 17)
    await checkpoint(world, mappings)
  }
  return { world, mappings, runs }
}

async function restart(world: EmbeddedWorld): Promise<void> {
  await restoreStack(world, {})
  await joinSources(world, (await environment(world).run()).topology)
}

/** What comes to the streams after that, and all of it to its end: the results are those of a run that nothing was ever done to. */
async function finish(world: EmbeddedWorld, mappings: ReturnType<typeof deploy>): Promise<void> {
  for (const [shard, records] of input.entries())
    for (const record of records.slice(FIRST)) await world.ports.streams.put('users-own', shard, Buffer.from(record))
  await drain(mappings)
  await checkpoint(world, mappings)
  assert.deepEqual(sorted(await world.rows('pages')), embedded.pages)
}

/** The same ports, some hours later. */
function later({ ports }: Pick<EmbeddedWorld, 'ports'>, hours: number): Ports {
  return { ...ports, clock: { ...ports.clock, now: () => Date.now() + hours * HOUR_MS } }
}

/** Until there is no more to do before another time, which it gives. */
async function clean(ports: Ports, clearing: Clearing, policy = POLICY): Promise<number> {
  for (let calls = 0; calls < CALLS_MAX; calls++) {
    const next = await cleanFormerRuns(ports, clearing, policy)
    if (next > ports.clock.now()) return next
  }
  assert.fail('there is always more to do')
}

/** Names of all that there is of a run, with how many slots or rows there are of each. */
async function leftOf({ ports, clearing }: EmbeddedWorld, run: string): Promise<Record<string, number>> {
  const left: Record<string, number> = {}
  const seen = (name: string) => {
    if (name.includes(run)) left[name] = (left[name] ?? 0) + 1
    return false
  }
  await clearing.log(seen, undefined, 1e6)
  await clearing.state(seen, undefined, 1e6)
  // What a sink has is its own.
  const own = (await ports.blobs.list('')).filter(key => !/^(results|_staging|copies)\//.test(key))
  for (const key of own) seen(key)
  return left
}

const isGone = async (world: EmbeddedWorld, run: string) =>
  assert.deepEqual(await leftOf(world, run), { [`${run}/decisions`]: 1 }, run)

describe('what runs have left that others have taken the place of', () => {
  for (const stateBackend of ['table', 'segments'] as const)
    test(`goes when a day is over, but for floors and what ended them; the run goes on with all of its own (${stateBackend})`, async () => {
      const app = visits()
      const graph = app.graph()
      const on = Object.assign(Object.create(app), { graph: () => ({ ...graph, options: { ...graph.options, stateBackend } }) })
      const { world, mappings, runs } = await open({ restarts: 3, app: on })
      const [now, ...former] = runs.toReversed()
      const own = await leftOf(world, now!.run)
      const before = await Promise.all(former.map(({ run }) => leftOf(world, run)))
      for (const left of before) assert.ok(Object.keys(left).length > 10)
      const next = await clean(later(world, 23), world.clearing)
      assert.equal(next, runs[1]!.createdAt + POLICY.keepMs)
      assert.deepEqual(await Promise.all(former.map(({ run }) => leftOf(world, run))), before)
      assert.equal(await clean(later(world, 25), world.clearing), Number.POSITIVE_INFINITY)
      for (const { run } of former) await isGone(world, run)
      assert.deepEqual(await leftOf(world, now!.run), own)
      for (const meta of former) {
        for (const log of logsOf(meta).flatMap(({ names }) => names)) assert.equal(await world.ports.log.floor(log), FENCED)
        assert.equal((await decisions(world.ports.log, meta.run)).at(-1)!.decision.outcome, 'superseded')
      }
      await restart(world)
      await finish(world, mappings)
    })

  test('stays while a checkpoint of it is copied, all of it; the copy starts another run when it is gone', async () => {
    const { world, mappings, runs } = await open()
    const [former] = runs as [(typeof runs)[0]]
    const before = await leftOf(world, former.run)
    const fork = await stackWorld(
      input.map(() => []),
      world,
    )
    const copies = within(fork.ports.blobs, 'copies/x/')
    const [, second] = await completeCheckpoints(world.ports, former.run)
    const copying = later(world, 24)
    await holding(copying, former.run, second!, async () => {
      // Others are not kept by it.
      await restart(world)
      const late = later(world, 25)
      assert.ok((await cleanFormerRuns(late, world.clearing, { ...POLICY, deletesMax: 1e6 })) <= late.clock.now())
      const held = await leftOf(world, former.run)
      for (const [name, count] of Object.entries(before)) assert.equal(held[name], count, name)
      const manifest = await readManifest(world.ports.blobs, former.run, second!)
      await writeSavepoint(manifest, world.ports.blobs, copies, { kind: 'stack', name: 'x' }, copying)
    })
    await clean(later(world, 26), world.clearing)
    await isGone(world, former.run)
    await restoreStack(fork, { savepoint: 'copies/x/', name: 'x' }, { replace: true })
    const { topology } = await environment(fork).run()
    await joinSources(fork, topology)
    const forked = deploy(fork, topology)
    await drain(forked)
    assert.equal((await checkpoint(fork, forked)).outcome, 'complete')
    await finish(world, mappings)
  })

  test('of a restore that is under way stays, and goes when it can not be finished any more', async () => {
    const { world, mappings, runs } = await open({ restarts: 0 })
    let died: string | undefined
    const ports = faulty(world.ports, ({ name, args, when }) => {
      // All is there but the new run's place.
      if (when === 'before' && name === 'log.putIfAbsent' && args[0] === 'meta') died = 'killed'
      if (died !== undefined) throw new Error(died)
    })
    await assert.rejects(restoreStack(world, {}, { back: deadline => ({ ...world.back(deadline), ports }) }), /killed/)
    const begun = (await world.ports.blobs.list('checkpoints/')).map(key => key.split('/')[1]!)
    const unfinished = begun.find(run => run !== runs[0]!.run)!
    const before = await leftOf(world, unfinished)
    assert.equal(await clean(later(world, 1000), world.clearing), Number.POSITIVE_INFINITY)
    assert.deepEqual(await leftOf(world, unfinished), before)
    assert.ok((await completeCheckpoints(world.ports, runs[0]!.run)).length > 0)
    await restart(world)
    await clean(later(world, 25), world.clearing)
    for (const run of [unfinished, runs[0]!.run]) await isGone(world, run)
    await finish(world, mappings)
  })

  test('goes little by little: no call deletes more than it may, and a page, nor lists more', async () => {
    const { world, runs } = await open()
    const policy = { ...POLICY, deletesMax: 3 }
    const { blobs, ...others } = later(world, 25)
    const list: typeof blobs.list = async (prefix, limit) => {
      const keys = await blobs.list(prefix, limit)
      assert.ok(keys.length <= policy.deletesMax + 1, `${keys.length} of ${prefix} listed`)
      return keys
    }
    const ports = { ...others, blobs: { ...blobs, list } }
    const all = async () => Object.values(await leftOf(world, runs[0]!.run)).reduce((sum, n) => sum + n, 0)
    let before = await all()
    let calls = 0
    for (; (await cleanFormerRuns(ports, world.clearing, policy)) <= ports.clock.now(); calls++) {
      const after = await all()
      // The first call takes decisions besides, and there are few.
      assert.ok(before - after < policy.deletesMax + policy.page + (calls === 0 ? 10 : 0), `${before - after} at once`)
      before = after
    }
    assert.ok(calls > 3, `${calls} calls`)
    await isGone(world, runs[0]!.run)
  })

  test('goes though each call that cleans dies somewhere, and though two do it at a time', async () => {
    const { world, mappings, runs } = await open({ restarts: 2 })
    const ports = later(world, 25)
    const own = await leftOf(world, runs[2]!.run)
    for (let dieAt = 1; dieAt < 60; dieAt += 3) {
      let dead = false
      const fault = ({ n, when }: { n: number; when: string }) => {
        dead ||= n === dieAt && when === 'after'
        if (dead) throw new Error('killed')
      }
      // Half of what it deletes is gone by then, or none.
      const clearing: Clearing = {
        log: (...args) => (dead ? Promise.reject(new Error('killed')) : world.clearing.log(...args)),
        state: (...args) => (dead ? Promise.reject(new Error('killed')) : world.clearing.state(...args)),
      }
      await cleanFormerRuns(faulty(ports, fault), clearing, POLICY).catch(error => assert.match(error.message, /killed/))
    }
    await Promise.all([1, 2].map(n => clean(ports, world.clearing, { ...POLICY, deletesMax: 7 * n, page: 5 * n })))
    await clean(ports, world.clearing)
    for (const { run } of runs.slice(0, 2)) await isGone(world, run)
    assert.deepEqual(await leftOf(world, runs[2]!.run), own)
    await restart(world)
    await finish(world, mappings)
  })
})

describe('the controller cleans', () => {
  test('behind complete checkpoints and looks that find nothing, and asks nothing again while there is nothing', async () => {
    const { world, runs } = await open()
    let calls = 0
    let hours = 0
    const counted = faulty(world.ports, () => void calls++)
    const back = (deadline: () => number | undefined) => {
      const clock = { ...counted.clock, now: () => Date.now() + hours * HOUR_MS }
      return { ...world.back(deadline), ports: { ...counted, clock } }
    }
    const env = environment(world, undefined, back)
    const answers: object[] = [
      { parts: [] },
      { looked: 'begun' },
      { looked: 'nothing' },
      { nothing: true },
      { outcome: 'complete' },
    ]
    const steps = ['collect', 'look', 'look', 'start', 'complete']
    const step = async (i: number) => {
      const handler = cleaningBehind(env, world.clearing, async (_: { step: string }) => answers[i]!)
      calls = 0
      assert.equal(await handler({ step: steps[i]! }, context()), answers[i])
      return calls
    }
    for (const i of [0, 1]) assert.equal(await step(i), 0)
    for (const i of [2, 3, 4]) assert.ok((await step(i)) > 0)
    const clean = openCleaner(env, world.clearing)
    await clean()
    calls = 0
    await clean()
    assert.equal(calls, 0)
    hours = 25
    for (let i = 0; i < 3; i++) await clean()
    await isGone(world, runs[0]!.run)
    calls = 0
    await clean()
    assert.equal(calls, 0)
  })

  test('and what it can not clean fails no checkpoint: it is told, and done the next time', async t => {
    const { world, runs } = await open()
    const told = t.mock.method(console, 'error', () => {})
    const refused: Clearing = { log: () => assert.fail(), state: () => Promise.reject(new Error('may not scan')) }
    const env = environment(world)
    await openCleaner(env, refused, 0)()
    assert.match(told.mock.calls[0]!.arguments[0] as string, /what former runs have left could not be cleaned: may not scan/)
    const clean = openCleaner(env, world.clearing, 0)
    for (let i = 0; i < 3; i++) await clean()
    await isGone(world, runs[0]!.run)
  })
})
