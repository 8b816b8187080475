import assert from 'node:assert/strict'
import test from 'node:test'
import { type MaterialisedPart, materialisePart } from '../../runtime/checkpoint/snapshot.ts'
import { startCheckpoint } from '../../runtime/checkpoint/start.ts'
import { collectParts, completeCheckpoint, failCheckpoint } from '../../runtime/checkpoint/steps.ts'
import { LostRaceError } from '../../runtime/protocol/errors.ts'
import { help } from '../../runtime/protocol/help.ts'
import type { Subtask } from '../../runtime/stage/subtask.ts'
import { batch, type Fault, faulty, type Harness, harness, Lost } from '../engine/harness.ts'
import { entries, statements } from '../engine/ledger.ts'

const INPUT = entries(40)
/** Each how manieth of about 1,000 calls it dies at; 1 takes a minute and a half. */
const STEP = Number(process.env.CRASH_STEP ?? 7)
const LIMITS = { recordsMax: 3, timersMax: 2 }

/** One process: all subtasks, driven in turn, until the input is through or `fault` ends it. */
async function processLife(h: Harness, fault: Fault): Promise<void> {
  const ports = faulty(h.ports, fault)
  const subtasks = h.topology.stages.map(at =>
    Array.from({ length: at.parallelism }, (_, shard) => h.environment(at.stage.index, shard, { ports, limits: LIMITS })),
  )
  const source = subtasks[0]![0]!
  await forget(h, subtasks.flat())
  for (;;) {
    const { working } = await source.ready()
    const done = working.sourceDone
    const from = Number(working.source?.index ?? 0)
    if (!done) await retried(() => source.deliverSource(() => batch(INPUT, from, Math.min(INPUT.length, from + 7))))
    await flow(h, subtasks)
    await checkpoint(h, source, subtasks)
    if (done) return
  }
}

async function flow(h: Harness, subtasks: readonly (readonly Subtask[])[]): Promise<void> {
  for (const stage of subtasks.slice(1)) {
    for (const subtask of stage) {
      for (let round = 0; ; round++) {
        const { undecided } = await retried(() => h.deliver(subtask))
        if (undecided === undefined) break
        assert.ok(round < 10)
        await help(h.ports.log, h.ports.random, undecided.log, undecided.version)
      }
    }
  }
}

async function checkpoint(h: Harness, source: Subtask, subtasks: readonly (readonly Subtask[])[]): Promise<void> {
  const ports = portsOf(source)
  const start = await startCheckpoint(h.topology, ports)
  await retried(() => source.cutSource(start.checkpoint))
  await flow(h, subtasks)
  const { parts, missing } = await collectParts(h.topology, start.checkpoint, ports)
  assert.deepEqual(missing, [])
  const materialised: MaterialisedPart[] = []
  for (const part of parts) {
    // Each second one keeps what was logged; the next folds it.
    const defer = start.checkpoint % 2 === 1 ? { bytesMax: 100_000, checkpointsMax: 1 } : undefined
    const done = await materialisePart(h.topology, start, part, ports, { defer })
    materialised.push(done)
    if (done.to === part.version) subtasks[part.stage]![part.shard]!.materialised(part.version)
  }
  assert.equal((await completeCheckpoint(h.topology, start, parts, materialised, ports)).outcome, 'complete')
}

/** A checkpoint that the process before began has failed. */
async function forget(h: Harness, subtasks: readonly Subtask[]): Promise<void> {
  for (const subtask of subtasks) {
    const { lastCut } = (await subtask.ready()).working
    const next = await startCheckpoint(h.topology, h.ports)
    if (lastCut >= next.checkpoint) await failCheckpoint(h.topology, next, ['a process that ended'], h.ports)
  }
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof LostRaceError) || tries > 10) throw error
    }
  }
}

const portsOf = (subtask: Subtask) => (subtask as unknown as { ports: Harness['ports'] }).ports

/** A process that dies at its nth call of a port, before it has an effect or after. What it calls then gets no answer either. */
function dying(n: number, when: 'before' | 'after'): { fault: Fault; died: () => boolean } {
  let dead = false
  return {
    fault: call => {
      if (dead || (call.n === n && call.when === when)) {
        dead = true
        throw new Lost()
      }
    },
    died: () => dead,
  }
}

async function sorted(h: Harness): Promise<string[]> {
  return h
    .results()
    .map(r => JSON.stringify(r))
    .sort()
}

for (const when of ['before', 'after'] as const) {
  test(`a process that dies ${when} any one call of a port loses nothing and doubles nothing (A3–A7, B, D1, E3)`, {
    timeout: 1_200_000,
  }, async t => {
    const calm = await harness(statements(), { parallelism: 2 })
    await processLife(calm, () => {})
    const expected = await sorted(calm)
    assert.ok(expected.length > 5)
    let n = when === 'before' ? 1 : 1 + Math.floor(STEP / 2)
    for (; ; n += STEP) {
      const stateBackend = ((n / STEP) | 0) % 2 === 0 ? 'table' : 'segments'
      const h = await harness(statements(), { parallelism: 2, stateBackend })
      const { fault, died } = dying(n, when)
      await processLife(h, fault).catch(error => {
        if (!died()) throw error
      })
      if (!died()) break
      await processLife(h, () => {})
      assert.deepEqual(await sorted(h), expected, `died ${when} call ${n}`)
    }
    assert.ok(n > 100)
    t.diagnostic(`of ${n} places to die, every ${STEP}th`)
  })
}

test('processes that die again and again, anywhere, get there in the end', { timeout: 1_200_000 }, async () => {
  const calm = await harness(statements(), { parallelism: 2 })
  await processLife(calm, () => {})
  const expected = await sorted(calm)
  for (let stride = 60; stride < 200; stride += 17) {
    const h = await harness(statements(), { parallelism: 2, stateBackend: stride % 2 === 0 ? 'table' : 'segments' })
    for (let life = 0; ; life++) {
      const { fault, died } = dying(stride + life * 5, life % 2 === 0 ? 'after' : 'before')
      await processLife(h, fault).catch(error => {
        if (!died()) throw error
      })
      if (!died()) break
    }
    assert.deepEqual(await sorted(h), expected, `stride ${stride}`)
  }
})
