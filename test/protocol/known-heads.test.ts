import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommitLog } from '../../runtime/ports.ts'
import { emptyHead, type SlotItem } from '../../runtime/protocol/item.ts'
import { headOf, type KnownHeads, putSlot } from '../../runtime/protocol/log.ts'
import { NO_FAULTS } from '../../runtime/sim/faults.ts'
import { openLogTable, simLog } from '../../runtime/sim/log.ts'
import { dice } from '../../runtime/sim/random.ts'
import { openScheduler } from '../../runtime/sim/scheduler.ts'

const LOG = 'run/stage/0'

/** A log, and the requests that it got since they were last asked for. */
function open() {
  let asked: string[] = []
  const call = async ({ name, apply }: { name: string; apply(): any }) => {
    asked.push(name)
    return apply()
  }
  const scheduler = openScheduler(0, () => 0)
  const simulation = { scheduler, dice: dice(1), faults: NO_FAULTS, trace: undefined }
  const log: CommitLog = simLog(simulation, openLogTable(), { call } as Parameters<typeof simLog>[2])
  const requests = () => {
    const before = asked
    asked = []
    return before
  }
  return { log, requests }
}

const commit = (version: number, attempt = `a${version}`): SlotItem => ({
  kind: 'commit',
  attempt,
  prev: version === 1 ? '' : `a${version - 1}`,
  lastCommit: version === 1 ? [0, ''] : [version - 1, `a${version - 1}`],
  head: { ...emptyHead, lastCut: version },
  chunk: undefined,
})

async function write(log: CommitLog, from: number, to: number): Promise<void> {
  for (let version = from; version <= to; version++) assert.ok(await putSlot(log, LOG, version, commit(version)))
}

test('a head that is known is read on from where it is known, with one look at the floor (C2)', async () => {
  const { log, requests } = open()
  const known: KnownHeads = new Map()
  assert.equal((await headOf(log, LOG, known)).version, 0)
  await write(log, 1, 3)
  assert.equal((await headOf(log, LOG, known)).version, 3)
  requests()
  await write(log, 4, 5)
  requests()
  const head = await headOf(log, LOG, known)
  assert.deepEqual([head.version, head.fields.lastCut, head.slotAttempt], [5, 5, 'a5'])
  assert.deepEqual(requests(), [`log.range ${LOG} 4`, `log.floor ${LOG}`])
  assert.equal(known.get(LOG), head)
})

test('a head that is known, but behind which the log has expired, is loaded anew (C2)', async () => {
  const { log } = open()
  const known: KnownHeads = new Map()
  await write(log, 1, 2)
  await headOf(log, LOG, known)
  await write(log, 3, 6)
  await log.raiseFloor(LOG, 5)
  await log.expire(LOG, 1, 5)
  // A zombie takes a slot that was deleted: nothing that is read from there is history (C1).
  assert.ok(await putSlot(log, LOG, 3, { kind: 'abort', attempt: 'zombie', prev: 'a2' }))
  const head = await headOf(log, LOG, known)
  assert.deepEqual([head.version, head.slotAttempt], [6, 'a6'])
})
