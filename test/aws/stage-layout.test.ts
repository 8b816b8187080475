import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { hasGaps, layoutOf, type RangedShard } from '../../runtime/aws/functions/stage-layout.ts'
import { formatShard } from '../../runtime/aws/position.ts'
import { firstLayout, openShards } from '../../runtime/stage/layout.ts'

const ALL = 1n << 128n
const GROUPS = 128

function shard(number: number, first: bigint, end: bigint, closed = false): RangedShard {
  return { id: formatShard(number), hashKey: String(first), lastHashKey: String(end - 1n), closed }
}

/** As Kinesis divides: it rounds. */
const even = (n: number, first = 0, closed = false) =>
  Array.from({ length: n }, (_, i) => {
    const end = i === n - 1 ? ALL : (ALL / BigInt(n)) * BigInt(i + 1)
    return shard(first + i, (ALL / BigInt(n)) * BigInt(i), end, closed)
  })

describe("a stage's shards, by what Kinesis lists", () => {
  test('have the key groups of as many subtasks where they are even, whatever their number', () => {
    for (let n = 1; n <= GROUPS; n++) assert.equal(layoutOf(even(n), firstLayout(n, GROUPS), GROUPS, 's'), undefined, `${n}`)
  })

  test('take over from those whose key groups they have; what came and went unseen has none', () => {
    const listed = [...even(2, 0, true), ...even(4, 2, true), ...even(8, 6)]
    const layout = layoutOf(listed, firstLayout(2, GROUPS), GROUPS, 's')!
    assert.deepEqual(layout[0]!.children, [6, 7, 8, 9])
    for (const seen of [2, 3, 4, 5]) assert.deepEqual([layout[seen]!.children, layout[seen]!.from, layout[seen]!.to], [[], 0, 0])
    assert.deepEqual(
      openShards(layout).map(({ from, to, parents }) => [from, to, parents[0]]),
      Array.from({ length: 8 }, (_, i) => [i * 16, i * 16 + 16, i < 4 ? 0 : 1]),
    )
    assert.equal(layoutOf(listed, layout, GROUPS, 's'), undefined, 'nothing new')
    assert.equal(layoutOf(even(2), layout, GROUPS, 's'), undefined, 'older than what is known')
  })

  test('are not taken up while a list has too few or too many of them', () => {
    const [low, high] = even(2) as [RangedShard, RangedShard]
    const half = [shard(2, 0n, ALL / 4n), shard(3, ALL / 4n, ALL / 2n)]
    const known = firstLayout(2, GROUPS)
    const closed = { ...low, closed: true }
    assert.equal(layoutOf([closed, high, half[0]!], known, GROUPS, 's'), undefined)
    assert.equal(layoutOf([low, high, ...half], known, GROUPS, 's'), undefined)
    assert.deepEqual(layoutOf([closed, high, ...half], known, GROUPS, 's')![0]!.children, [2, 3])
  })

  test('are not taken up from a list that has a later change and not an earlier one, before it says the same again', () => {
    const [low, high] = even(2) as [RangedShard, RangedShard]
    const later = [shard(4, ALL / 2n, (ALL / 4n) * 3n), shard(5, (ALL / 4n) * 3n, ALL)]
    const listed = [low, { ...high, closed: true }, ...later]
    const known = firstLayout(2, GROUPS)
    assert.ok(hasGaps(listed, known))
    assert.ok(!hasGaps([low, { ...high, closed: true }, ...even(2, 2)], known))
    assert.ok(!hasGaps(even(2), known))
  })

  test('that can be no subtasks are refused by name', () => {
    const tiny = [shard(1, 0n, ALL / 1024n), shard(2, ALL / 1024n, ALL / 512n), shard(3, ALL / 512n, ALL)]
    assert.throws(() => layoutOf(tiny, firstLayout(1, GROUPS), GROUPS, 's'), /no key group is left/)
    // Of a stream that was split before the run began with more subtasks.
    assert.throws(
      () => layoutOf(even(4, 2), firstLayout(4, GROUPS), GROUPS, 's'),
      /shard 2 has key groups 0 to 32, where this run has 64 to 96/,
    )
  })

  test('cover each key group once, however they were split and merged', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.bigInt(0n, ALL - 1n)), { maxLength: 12 }), changes => {
        let listed = even(2)
        let layout = firstLayout(2, GROUPS)
        for (const [which, at] of changes) {
          const open = listed.filter(s => !s.closed).sort((a, b) => (BigInt(a.hashKey) < BigInt(b.hashKey) ? -1 : 1))
          const next = listed.length
          const i = which % open.length
          const [one, other] = [open[i]!, open[i + 1]]
          const [first, end] = [BigInt(one.hashKey), BigInt(one.lastHashKey) + 1n]
          // On the border of a key group: then none is left without.
          const middle = (at / (ALL / 128n)) * (ALL / 128n)
          const isInside = first < middle && middle < end
          if (!isInside && other === undefined) continue
          const added = isInside
            ? [shard(next, first, middle), shard(next + 1, middle, end)]
            : [shard(next, first, BigInt(other!.lastHashKey) + 1n)]
          const gone = isInside ? [one] : [one, other]
          listed = [...listed.map(s => (gone.includes(s) ? { ...s, closed: true } : s)), ...added]
          if (which % 3 > 0) layout = layoutOf(listed, layout, GROUPS, 's') ?? layout
        }
        layout = layoutOf(listed, layout, GROUPS, 's') ?? layout
        let next = 0
        for (const { from, to } of openShards(layout)) {
          assert.equal(from, next)
          next = to
        }
        assert.equal(next, GROUPS)
        for (const { shard, children } of layout)
          for (const child of children ?? []) assert.ok(layout[child]!.parents.includes(shard))
      }),
    )
  })
})
