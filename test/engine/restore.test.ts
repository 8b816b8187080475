import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { decide } from '../../runtime/checkpoint/decision.ts'
import { encodeManifest, listManifests, manifestKey, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { customSink } from '../../runtime/index.ts'
import { generate, scratch, writeEvents } from './events.ts'
import { pipelines } from './pipelines.ts'
import { copyUpTo, lines, onlyOneRun, retained, run } from './runs.ts'

const EVENTS = 600

for (const [turn, name] of Object.keys(pipelines).entries()) {
  test(`${name}: a run from any retained checkpoint ends with the results of an undisturbed one`, async t => {
    const dir = scratch(t)
    const input = writeEvents(join(dir, 'events.ndjson'), generate(EVENTS, 30 + turn))
    const parallelism = turn % 2 === 0 ? 1 : 3
    const stateMemory = turn % 3 === 0 ? 1 : undefined
    const backends = ['table', 'segments'] as const
    const [stateBackend, other] = turn % 2 === 0 ? backends : backends.toReversed()
    const at = (file: string) => join(dir, file)
    await run(name, input, { out: at('reference'), parallelism })
    const reference = lines(at('reference'))
    const state = at('state')
    const stopAfter = 100 + ((turn * 67) % 400)
    const first = await run(name, input, { out: at('first'), state, parallelism, stateMemory, stateBackend, stopAfter })
    assert.equal(first.outcome, 'stopped')
    const checkpoints = await retained(state)
    assert.equal(checkpoints.at(-1), first.checkpoints.last)
    for (const [i, checkpoint] of checkpoints.entries()) {
      await copyUpTo(checkpoint, { state, out: at('first') }, at(`copy-${checkpoint}`))
      const to = {
        out: at(`copy-${checkpoint}`),
        state: at(`state-${checkpoint}`),
        parallelism,
        stateMemory,
        stateBackend: i === 1 ? other : stateBackend,
      }
      // It is stopped and goes on, so that what a restore leaves behind is read from disk too.
      const from = { directory: state, checkpoint }
      await run(name, input, { ...to, from, stopAfter: 30 })
      const forked = await run(name, input, to)
      assert.equal(forked.outcome, 'finished')
      assert.deepEqual(lines(to.out), reference, `from checkpoint ${checkpoint} of ${checkpoints}`)
    }
    // In memory, into a file of its own: what was committed before and what came after are all there is.
    await run(name, input, { out: at('rest'), from: { directory: state }, parallelism, stateBackend })
    const [before, after] = [lines(at('first')), lines(at('rest'))]
    assert.deepEqual({ out: [...before.out, ...after.out].sort(), side: [...before.side, ...after.side].sort() }, reference)
    // Back to the oldest one, in place; and the original goes on as if nothing had been.
    await run(name, input, {
      out: at('first'),
      state,
      from: { directory: state, checkpoint: checkpoints[0]! },
      parallelism,
      stateBackend: other,
      stopAfter: 20,
    })
    await assert.rejects(
      run(name, input, { out: at('first'), state, parallelism, stateBackend }),
      /was made with the state backend/,
    )
    await run(name, input, { out: at('first'), state, parallelism, stateBackend: other })
    assert.deepEqual(lines(at('first')), reference)
    await onlyOneRun(state)
  })
}

test('a fork leaves its origin alone, and a snapshot of another shape or a used directory is refused', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(300, 5))
  const at = (file: string) => join(dir, file)
  const name = 'session'
  await run(name, input, { out: at('a'), state: at('a-state'), stopAfter: 100 })
  const before = readFileSync(at('a.out'), 'utf8')
  await run(name, input, { out: at('b'), state: at('b-state'), from: { directory: at('a-state') } })
  assert.equal(readFileSync(at('a.out'), 'utf8'), before)
  await run(name, input, { out: at('a'), state: at('a-state') })
  const from = { directory: at('a-state') }
  await run(name, input, { out: at('d'), state: at('d-state') })
  await assert.rejects(run(name, input, { out: at('c'), state: at('d-state'), from }), /holds a run already/)
  await assert.rejects(
    run(name, input, { out: at('c'), from: { ...from, checkpoint: 9999 } }),
    /has no checkpoint 9999 to start from: it has kept \d/,
  )
  await assert.rejects(run(name, input, { out: at('c'), from: { directory: at('nothing') } }), /holds no run/)
})

test('the same fork again goes on with what it began; from another checkpoint it is refused', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(600, 5))
  const at = (file: string) => join(dir, file)
  const name = 'session'
  await run(name, input, { out: at('whole') })
  await run(name, input, { out: at('a'), state: at('a-state'), stopAfter: 300 })
  const [first, ...others] = await retained(at('a-state'))
  await copyUpTo(first!, { state: at('a-state'), out: at('a') }, at('b'))
  const fork = { out: at('b'), state: at('b-state'), from: { directory: at('a-state'), checkpoint: first! } }
  const begun = await run(name, input, { ...fork, stopAfter: 50 })
  const again = await run(name, input, fork)
  assert.equal(again.run, begun.run)
  assert.deepEqual(lines(at('b')), lines(at('whole')))
  const other = { directory: at('a-state'), checkpoint: others[0]! }
  await assert.rejects(run(name, input, { ...fork, from: other }), /holds a run already, which did not begin there/)
})

test('a manifest whose checkpoint was not decided to be complete is nothing to start from (D6)', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(300, 7))
  const at = (file: string) => join(dir, file)
  const { checkpoints } = await run('session', input, { out: at('a'), state: at('state') })
  const ports = await openEmbedded({ directory: at('state') })
  const { run: id } = (await readRun(ports))!
  // The process died between manifest and decision, and the next one decided.
  const checkpoint = checkpoints.last + 1
  const manifest = { ...(await readManifest(ports.blobs, id, checkpoints.last)), checkpoint }
  await ports.blobs.putIfAbsent(manifestKey(id, checkpoint), encodeManifest(manifest))
  await decide(ports.log, id, checkpoint, { outcome: 'interrupted', startedAt: 0, decidedAt: 0, bytes: 0 })
  await ports.close()
  await assert.rejects(
    run('session', input, { out: at('b'), from: { directory: at('state'), checkpoint } }),
    /has no checkpoint \d+ to start from: it has kept \d/,
  )
})

test('what a sink staged for a checkpoint is committed once, though another run starts from it (D7)', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(200, 7))
  const committed = new Set<string>()
  const published: string[] = []
  const ledger = () =>
    customSink<unknown>({
      name: 'ledger',
      open() {
        let rows = 0
        return {
          write: () => void rows++,
          // What was written since the last cut is one prepared transaction, which the state names.
          async flush(commit, cut) {
            if (cut === undefined) return undefined
            const staged = `${commit.subtask}/${commit.version}: ${rows} rows`
            rows = 0
            return { staged }
          },
        }
      },
      async commit(id, checkpoint, parts) {
        if (committed.has(`${id}/${checkpoint}`)) return
        committed.add(`${id}/${checkpoint}`)
        for (const part of parts) if (part !== undefined) published.push(String(part.staged))
      },
    })
  const go = (options: object) =>
    runEmbedded(pipelines['dedup-sum']!().graph(), {
      sources: { events: fileSource([input]) },
      sinks: { out: ledger() },
      ...options,
    })
  await go({ state: join(dir, 'a') })
  await go({ state: join(dir, 'b'), from: { directory: join(dir, 'a') } })
  assert.ok(published.length >= 2)
  assert.equal(new Set(published).size, published.length)
})

test('with new input only the state comes from the checkpoint: the rest of the records, in a file of their own, ends the same', async t => {
  const dir = scratch(t)
  const events = generate(EVENTS, 77)
  const at = (file: string) => join(dir, file)
  const input = writeEvents(at('events.ndjson'), events)
  for (const name of ['session', 'dedup-sum', 'interval-join', 'top-n']) {
    await run(name, input, { out: at(`${name}-whole`) })
    const state = at(`${name}-state`)
    await run(name, input, { out: at(name), state, stopAfter: 300 })
    const taken = await recordsTaken(state)
    assert.ok(taken > 0 && taken < EVENTS)
    const rest = writeEvents(at('rest.ndjson'), events.slice(taken))
    const from = { directory: state }
    await assert.rejects(run(name, rest, { out: at('x'), from }), /should now read .*rest.ndjson.*--new-input/)
    const summary = await run(name, rest, { out: at(name), from: { ...from, newInput: true } })
    assert.equal(summary.events, EVENTS - taken)
    assert.deepEqual(lines(at(name)), lines(at(`${name}-whole`)), name)
  }
})

for (const [turn, name] of Object.keys(pipelines).entries()) {
  test(`${name}: three days' inputs that are kept open, one run after the other, end as one run over all of them`, async t => {
    const dir = scratch(t)
    const at = (file: string) => join(dir, file)
    const events = generate(EVENTS, 90 + turn)
    const parallelism = 1 + (turn % 3)
    const whole = await run(name, writeEvents(at('whole.ndjson'), events), { out: at('whole'), parallelism })
    assert.equal(whole.outcome, 'finished')
    const days = [events.slice(0, 211), events.slice(211, 402), events.slice(402)]
    for (const [day, records] of days.entries()) {
      const last = day === days.length - 1
      const input = writeEvents(at(`day-${day}.ndjson`), records)
      const from = day === 0 ? undefined : { directory: at(`state-${day - 1}`), newInput: true }
      const way = { out: at(name), state: at(`state-${day}`), parallelism, from, keepOpen: !last }
      const { outcome, events: taken } = await run(name, input, way)
      assert.deepEqual([outcome, taken], [last ? 'finished' : 'kept open', records.length])
    }
    assert.deepEqual(lines(at(name)), lines(at('whole')))
    // The same run again, no longer kept open: it reads nothing more, and ends as one over what it had.
    await run(name, writeEvents(at('first.ndjson'), days[0]!), { out: at('first'), parallelism })
    await run(name, at('first.ndjson'), { out: at('closed'), state: at('closed'), parallelism, keepOpen: true })
    const before = lines(at('closed'))
    const closed = await run(name, at('first.ndjson'), { out: at('closed'), state: at('closed'), parallelism })
    assert.deepEqual([closed.outcome, closed.events], ['finished', 0])
    assert.deepEqual(lines(at('closed')), lines(at('first')))
    assert.ok(before.out.length <= lines(at('closed')).out.length)
  })
}

test('new input is refused where the old one had ended, or of another number of splits', async t => {
  const dir = scratch(t)
  const input = writeEvents(join(dir, 'events.ndjson'), generate(100, 1))
  const state = join(dir, 'state')
  await run('session', input, { out: join(dir, 'a'), state })
  const from = { directory: state, newInput: true }
  await assert.rejects(
    run('session', input, { out: join(dir, 'b'), from }),
    /had come to its end.*start from an earlier one, or run that input again with --keep-open/,
  )
  const two = { events: fileSource([input, writeEvents(join(dir, 'more.ndjson'), generate(10, 2))]) }
  await assert.rejects(
    runEmbedded(pipelines.session!().graph(), { sources: two, from }),
    /source 'events' had 1 split when .* new input has 2/,
  )
})

async function recordsTaken(directory: string): Promise<number> {
  const ports = await openEmbedded({ directory })
  const { run: id } = (await readRun(ports))!
  const manifest = await readManifest(ports.blobs, id, (await listManifests(ports.blobs, id)).at(-1)!)
  await ports.close()
  return manifest.subtasks[0]!.head.counts.recordsIn
}
