import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { type FoldedItem, type FoldSpace, fold, type LoggedChunk } from '../../runtime/checkpoint/fold.ts'
import { isLong, keyGroup } from '../../runtime/graph/key.ts'
import type { Address } from '../../runtime/ports.ts'
import { FrameWriter } from '../../runtime/protocol/frame.ts'
import { joinAddress } from '../../runtime/snapshot/item.ts'
import { mapAddress, timerSk, timersPk, valueAddress } from '../../runtime/state/address.ts'
import { unpack } from '../../runtime/state/codec.ts'

const states = [
  { name: 'last', primitive: 'value' },
  { name: 'all', primitive: 'map' },
] as const
const space: FoldSpace = {
  run: 'r',
  keyGroups: 4,
  // One id begins with the other, and one sorts between the rows of a key and its timers.
  operators: ['count', 'count|t', 'sum'].map(operatorId => ({ run: 'r', operatorId, subtask: 0, states })),
}
const TABLES = 32
const TIMERS = { event: 30, processing: 31 }
const [WRITTEN, CREATED, DELETED] = [0, 1, 3]

const part = fc.constantFrom('a', 'b', 'a\u0000', 'ab', '', 1, -2.5, 'x'.repeat(300), '\ud800', 'é')
const change = fc.record({
  operator: fc.nat(2),
  what: fc.constantFrom('last', 'all', 'event', 'processing'),
  key: part,
  sub: part,
  kind: fc.constantFrom(WRITTEN, CREATED, DELETED),
  at: fc.constantFrom(0, 1, 1_700_000_000_000, -5),
  value: fc.oneof(fc.nat(9), fc.string({ maxLength: 3 })),
})
type Logged = typeof change extends fc.Arbitrary<infer C> ? C : never

function chunkOf(changes: readonly Logged[], version: number): LoggedChunk {
  const writer = new FrameWriter()
  for (const { operator, what, key, sub, kind, at, value } of changes) {
    const table = operator * TABLES
    if (what === 'last') writer.record(table, kind === DELETED ? null : value, at, key, kind)
    else if (what === 'all') writer.record(table + 1, kind === DELETED ? { k: sub } : { k: sub, v: value }, at, key, kind)
    else writer.record(table + TIMERS[what as 'event'], sub, at, key, kind === DELETED ? DELETED : CREATED)
  }
  const header = { run: 'r', producer: 1, version, attempt: 'a'.repeat(16), index: 1, predVersion: 0, predIndex: 0 }
  return { version, chunk: writer.finish(header) }
}

function addressOf({ operator, what, key, sub, at }: Logged): Address {
  const of = space.operators[operator]!
  if (what === 'last') return valueAddress(of, key, states[0])
  if (what === 'all') return mapAddress(of, key, states[1], sub)
  return { pk: timersPk(of, keyGroup(key, space.keyGroups)), sk: timerSk(what as 'event', at, key, sub) }
}

/** The last change of each address, and whether the first has made it; what was made and deleted is not there, if that is asked for. */
function expected(chunks: readonly (readonly Logged[])[], elide: boolean) {
  const all = new Map<string, { readonly created: boolean } & Record<string, unknown>>()
  chunks.forEach((changes, i) => {
    for (const c of changes) {
      const timer = c.what === 'event' || c.what === 'processing'
      const { pk, sk } = addressOf(c)
      const address = joinAddress(pk, sk)
      const created = all.get(address)?.created ?? (c.kind === CREATED || (timer && c.kind === WRITTEN))
      if (elide && created && c.kind === DELETED) {
        all.delete(address)
        continue
      }
      const value = c.kind === DELETED ? undefined : { of: timer ? [c.at, c.key, c.sub] : c.value }
      const group = isLong(c.key) ? keyGroup(c.key, space.keyGroups) : undefined
      const expiry = timer || c.at === 0 ? undefined : c.at
      all.set(address, { pk, sk, v: i + 1, value, created, group, expiry })
    }
  })
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([address, item]) => ({ address, ...item }))
}

const shown = ({ address, created, group, item: { pk, sk, v, value, expiry } }: FoldedItem) => {
  return { address, pk, sk, v, value: value && { of: unpack(value) }, created, group, expiry }
}

test('changes are folded as a map of addresses would hold them, in order of address', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(change, { minLength: 1, maxLength: 8 }), { maxLength: 6 }),
      fc.boolean(),
      async (all, elide) => {
        const chunks = async function* () {
          for (const [i, changes] of all.entries()) yield chunkOf(changes, i + 1)
        }
        const folded: FoldedItem[] = []
        const done: number[] = []
        await fold(space, elide, chunks(), {
          add: async items => void folded.push(...items),
          done: async version => void done.push(version),
        })
        assert.deepEqual(folded.map(shown), expected(all, elide))
        assert.deepEqual(done, folded.length === 0 ? [] : [all.length])
      },
    ),
    { numRuns: 300 },
  )
})

test('what is handed over before the end is complete up to the version that is told, and in order by itself', async () => {
  const logged: Logged[][] = Array.from({ length: 5 }, (_, i) => [
    { operator: 0, what: 'all', key: 'k', sub: `s${9 - i}`, kind: CREATED, at: 0, value: i },
    { operator: 0, what: 'last', key: `k${9 - i}`, sub: 1, kind: CREATED, at: 0, value: i },
  ])
  const chunks = async function* () {
    for (const [i, changes] of logged.entries()) yield chunkOf(changes, i + 1)
  }
  const handed: { version: number; addresses: string[] }[] = []
  let addresses: string[] = []
  const target = {
    add: async (items: readonly FoldedItem[]) => void addresses.push(...items.map(i => i.address)),
    async done(version: number) {
      handed.push({ version, addresses })
      addresses = []
    },
  }
  await fold(space, true, chunks(), target, 4)
  const upTo = (from: number, to: number) => expected(logged.slice(from, to), true).map(i => i.address)
  assert.deepEqual(handed, [
    { version: 2, addresses: upTo(0, 2) },
    { version: 4, addresses: upTo(2, 4) },
    { version: 5, addresses: upTo(4, 5) },
  ])
})

test('what was made and has expired by the cut leaves nothing behind; what the base may have, or is not known to have expired, stays', async () => {
  const logged: Logged[] = [
    { operator: 0, what: 'all', key: 'k', sub: 'expired', kind: CREATED, at: 1, value: 1 },
    { operator: 0, what: 'all', key: 'k', sub: 'not yet', kind: CREATED, at: 1_700_000_000_000, value: 2 },
    { operator: 0, what: 'all', key: 'k', sub: 'in the base', kind: WRITTEN, at: 1, value: 3 },
    { operator: 0, what: 'all', key: 'k', sub: 'for ever', kind: CREATED, at: 0, value: 4 },
    { operator: 1, what: 'last', key: 'k', sub: '', kind: CREATED, at: 1, value: 5 },
  ]
  const operators = space.operators.map((of, i) => ({ ...of, expiredBefore: i === 0 ? 1_700_000_000_000 : undefined }))
  const left = async (elide: boolean) => {
    const values: unknown[] = []
    const chunks = async function* () {
      yield chunkOf(logged, 1)
    }
    const add = async (items: readonly FoldedItem[]) => void values.push(...items.map(({ item }) => unpack(item.value!)))
    await fold({ ...space, operators }, elide, chunks(), { add, async done() {} })
    return values.sort()
  }
  assert.deepEqual(await left(true), [2, 3, 4, 5])
  assert.deepEqual(await left(false), [1, 2, 3, 4, 5], 'another fold may have written it')
})
