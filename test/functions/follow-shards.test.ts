import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { followShards, type OwnedShard } from '../../runtime/aws/functions/follow-shards.ts'
import { formatState, type ShardState, takenOf, writeShardMap } from '../../runtime/aws/functions/shard-map.ts'
import { formatPosition } from '../../runtime/aws/position.ts'

const live = (watermark: number, closed = false): ShardState => ({
  sequenceNumber: formatPosition('7'),
  watermark,
  takenAt: 5,
  closed,
})
const shard = (id: string, parents: string[] = [], { closed = false, owner = 0 } = {}): OwnedShard => ({
  id,
  parents,
  closed,
  owner,
})

/** As the position has it, of subtask 0. `ended`: closed ones that have nothing left. */
async function follow(map: Record<string, ShardState>, listed: OwnedShard[], ended: string[] = [], delivered?: string) {
  const isReadToEnd = async (id: string) => ended.includes(id)
  return writeShardMap(await followShards(new Map(Object.entries(map)), { subtask: 0, listed, delivered, now: 9, isReadToEnd }))
}

describe('what has become of the shards of a subtask', () => {
  test('one that is split stands for its children until it is read to its end; they begin at its watermark', async () => {
    const listed = [shard('p', [], { closed: true }), shard('q'), shard('r', ['p']), shard('s', ['p'])]
    const map = { p: live(50), q: live(70) }
    assert.deepEqual(await follow(map, listed), { p: '7@50@5@closed', q: '7@70@5' })
    assert.deepEqual(await follow(map, listed, ['p']), { p: 'ended', q: '7@70@5', r: '@50@9', s: '@50@9' })
  })

  test('one that is merged begins at the lower watermark; of a parent that is read elsewhere nothing is known', async () => {
    const closed = { closed: true }
    const own = [shard('p', [], closed), shard('q', [], closed), shard('r', ['p', 'q'])]
    assert.deepEqual((await follow({ p: live(50), q: live(40) }, own, ['p', 'q'])).r, '@40@9')
    assert.equal((await follow({ p: live(50), q: live(40) }, own, ['p'])).r, undefined)
    const other = [shard('p', [], closed), shard('q', [], { closed: true, owner: 1 }), shard('r', ['p', 'q'])]
    assert.deepEqual(await follow({ p: live(50) }, other, ['p']), { p: 'ended', r: '@@9' })
  })

  test('one that is merged with one that is far ahead stands with its watermark until that one is at its end as well: what comes behind both is not late', async () => {
    const listed = [shard('p', [], { closed: true }), shard('q', [], { closed: true }), shard('r', ['p', 'q'])]
    const map = { p: live(50), q: live(40) }
    assert.deepEqual(await follow(map, listed, ['q']), { p: '7@50@5@closed', q: '7@40@5@closed' })
    const closed = { p: live(50, true), q: live(40, true) }
    assert.deepEqual(await follow(closed, listed, ['p', 'q']), { p: 'ended', q: 'ended', r: '@40@9' })
  })

  test('generations that had no record are passed over', async () => {
    const listed = [shard('p', [], { closed: true }), shard('r', ['p'], { closed: true }), shard('s', ['r'])]
    assert.deepEqual(await follow({ p: live(50) }, listed, ['p', 'r']), { p: 'ended', r: 'ended', s: '@50@9' })
  })

  test('one that is delivered before its parents has begun, and so have they: what they have is still to come', async () => {
    const listed = [shard('p', [], { closed: true }), shard('r', ['p'], { closed: true }), shard('s', ['r']), shard('t', ['r'])]
    const map = await follow({ p: live(50) }, listed, [], 's')
    assert.deepEqual(map, { p: '7@50@5@closed', r: '@50@9@closed', s: '@50@9' })
  })

  test('one that is delivered is not asked whether it is at its end', async () => {
    assert.deepEqual(await follow({ p: live(50) }, [shard('p', [], { closed: true })], ['p'], 'p'), { p: '7@50@5@closed' })
  })

  test('a list that does not have the newest yet changes nothing of them', async () => {
    const map = { a: live(40), p: 'ended' as const, q: live(50) }
    assert.deepEqual(await follow(map, [shard('a')], ['p', 'q']), { a: '7@40@5', p: 'ended', q: '7@50@5' })
  })

  test('what has ended leaves when it is not listed any more, and is not taken again should it be listed once more', async () => {
    const listed = [shard('p', [], { closed: true }), shard('r', ['p'])]
    assert.deepEqual(await follow({ p: 'ended', r: live(60) }, listed), { p: 'ended', r: '7@60@5' })
    assert.deepEqual(await follow({ p: 'ended', r: live(60) }, listed.slice(1)), { r: '7@60@5' })
    assert.deepEqual(await follow({ r: live(60) }, listed, [], 'p'), { r: '7@60@5' })
  })

  test('what is not listed, and had not ended, is at its end when its stream says so, and not because it is missing in a list', async () => {
    const listed = [shard('r', ['p'])]
    assert.deepEqual((await follow({ p: live(50) }, listed)).p, '7@50@5@closed')
    assert.deepEqual(await follow({ p: live(50) }, listed, ['p']), { p: 'ended', r: '@50@9' })
  })

  test('shards of other subtasks are left to them', async () => {
    assert.deepEqual(await follow({ p: live(50) }, [shard('p'), shard('q', [], { owner: 1 })]), { p: '7@50@5' })
  })
})

test('what is taken of a shard is read of each form that a position has', () => {
  const at = formatPosition('12')
  assert.equal(takenOf(undefined, 'p', 'p'), '')
  assert.equal(takenOf({ sequenceNumber: at }, 'p', 'p'), at)
  assert.equal(takenOf({ sequenceNumber: at }, 'p', 'r'), '')
  const map = {
    p: formatState('ended'),
    r: formatState({ sequenceNumber: at, watermark: 3, takenAt: 4, closed: false }),
    s: '@@4',
  }
  assert.deepEqual(
    ['p', 'r', 's', 't'].map(shard => takenOf(map, 'p', shard)),
    ['ended', at, '', ''],
  )
})
