import assert from 'node:assert/strict'
import test from 'node:test'
import { inherit } from '../../runtime/checkpoint/inherit.ts'
import type { Ports } from '../../runtime/ports.ts'
import { GapError } from '../../runtime/protocol/errors.ts'
import { emptyHead, type FrameId, type HeadFields, type SlotItem } from '../../runtime/protocol/item.ts'
import { headOf, type KnownHeads, putSlot } from '../../runtime/protocol/log.ts'
import { relaid } from '../../runtime/stage/layout.ts'
import { harness } from '../engine/harness.ts'
import { statements } from '../engine/ledger.ts'

const COMMITS = 60

test("children that share what they know read their parent's long log once, and it no more than its end when it is sealed (F3)", async () => {
  const { topology, ports } = await harness(statements(), { parallelism: 1 })
  const [, at] = topology.stages
  const { index } = at!.stage
  const log = topology.log(index, 0)
  const put = async (version: number, of: Pick<SlotItem & { kind: 'commit' }, 'kind'> | { kind: 'seal'; children: number[] }) => {
    const attempt = (v: number) => (v === 0 ? '' : `a${v}`)
    const item = { ...of, attempt: attempt(version), prev: attempt(version - 1), head: emptyHead, chunk: undefined }
    assert.ok(await putSlot(ports.log, log, version, { ...item, lastCommit: [version - 1, attempt(version - 1)] } as SlotItem))
  }
  for (let version = 1; version <= COMMITS; version++) await put(version, { kind: 'commit' })
  topology.adopt(index, relaid(topology.layout(index), [0, 32, 64, 96], topology.plan.options.keyGroups)!)
  let slots = 0
  const range: Ports['log']['range'] = async (name, from, limit) => {
    const found = await ports.log.range(name, from, limit)
    if (name === log) slots += found.length
    return found
  }
  const counted = { ...ports, log: { ...ports.log, range } }
  const known: KnownHeads = new Map()
  const children = [1, 2, 3, 4]
  const inheritAll = async () => {
    const begun = []
    for (const child of children) begun.push(await inherit(topology, at!, child, counted, async () => {}, known))
    return begun
  }
  assert.deepEqual(await inheritAll(), [false, false, false, false])
  assert.equal(slots, COMMITS)
  await put(COMMITS + 1, { kind: 'seal', children })
  assert.deepEqual(await inheritAll(), [true, true, true, true])
  assert.equal(slots, COMMITS + 1)
  for (const child of children)
    assert.equal((await headOf(ports.log, topology.log(index, child), new Map())).version, COMMITS + 2)
})

/** What one producer's commit says of frames that it sent to shards 0 and 1, which 2 takes over from, of which 1 ended with its frame 3.1. */
async function beginMerged(head: Pick<HeadFields, 'sent' | 'sentClosed'>): Promise<boolean> {
  const { topology, ports } = await harness(statements(), { parallelism: 2 })
  const [, at] = topology.stages
  const { index } = at!.stage
  const put = async (log: string, item: object) => {
    const slot = { attempt: 'a', prev: '', chunk: undefined, lastCommit: [0, ''], ...item }
    assert.ok(await putSlot(ports.log, log, 1, slot as unknown as SlotItem))
  }
  const [producer, other] = topology.producersOf(index, 0)
  await put(topology.logOfProducer(producer!), { kind: 'commit', head: { ...emptyHead, ...head } })
  topology.adopt(index, relaid(topology.layout(index), [0], topology.plan.options.keyGroups)!)
  const seal = (accepted: HeadFields['accepted']) => ({ kind: 'seal', children: [2], head: { ...emptyHead, accepted } })
  await put(topology.log(index, 0), seal([[producer!, 4, 2]]))
  await put(
    topology.log(index, 1),
    seal([
      [producer!, 3, 1],
      [other!, 9, 1],
    ]),
  )
  return inherit(topology, at!, 2, ports, async () => {})
}

test('the last frames of a shard that are lost are seen where it is merged with one that has later ones (F3, B7)', async () => {
  const stage = 1
  const lost = { name: GapError.name, message: /\/1 ended with frame 3\.1 of .*, which has sent it 3\.2/ }
  const sent = (last: FrameId) => [[stage, 0, 4, 2] as const, [stage, 1, ...last] as const]
  // The producer has not heard of the merge, or has.
  await assert.rejects(beginMerged({ sent: sent([3, 2]) }), lost)
  await assert.rejects(beginMerged({ sent: [[stage, 2, 4, 2]], sentClosed: sent([3, 2]) }), lost)
  // Nothing is.
  assert.equal(await beginMerged({ sent: sent([3, 1]) }), true)
  assert.equal(await beginMerged({ sent: [[stage, 2, 5, 1]], sentClosed: sent([3, 1]) }), true)
})
