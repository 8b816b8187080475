import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { SupersededFoldError } from '../../runtime/checkpoint/claims.ts'
import type { FoldedItem } from '../../runtime/checkpoint/fold.ts'
import { readMarker } from '../../runtime/checkpoint/marker.ts'
import { loggedChunks, type Materialised, materialise, sweepTombstones } from '../../runtime/checkpoint/materialise.ts'
import { type Duration, map, monotonous, ndjson, type Pipeline, pipeline, print, value } from '../../runtime/index.ts'
import type { BaseItem, KeyedStore } from '../../runtime/ports.ts'
import { keyedNodes } from '../../runtime/stage/keyed-nodes.ts'
import { batch, type Harness, harness } from '../engine/harness.ts'

const Command = z.object({ key: z.string(), sub: z.string(), what: z.enum(['set', 'delete', 'read']), n: z.number() })
type Command = z.infer<typeof Command>

/** State of each kind that comes and goes as the records say. */
function register(ttl?: Duration): Pipeline {
  const app = pipeline('register')
  app
    .source('commands', ndjson(Command), { time: () => 0, watermark: monotonous() })
    .keyBy('key')
    .process({
      state: { entries: map<string, number>(ttl === undefined ? {} : { ttl }), last: value<number>() },
      onRecord({ key, sub, what, n }, { state, timers }): Row[] {
        const at = 1_000_000 + sub.charCodeAt(0)
        if (what === 'set') {
          state.entries.set(sub, n)
          state.last.set(n)
          timers.event.set(at)
        } else if (what === 'delete') {
          state.entries.delete(sub)
          state.last.clear()
          timers.event.delete(at)
        } else return [{ key, entries: state.entries.entries(), last: state.last.get() ?? null }]
        return []
      },
      onTimer: (at, { key }): Row[] => [{ key, at }],
    })
    .sink('out', print())
  return app
}

type Row =
  | { readonly key: string; readonly at: number }
  | { readonly key: string; readonly entries: [string, number][]; readonly last: number | null }

const KEYS = ['a', 'b']
const SUBS = ['x', 'y', 'z']

const commands = fc.array(
  fc.record({
    key: fc.constantFrom(...KEYS),
    sub: fc.constantFrom(...SUBS),
    what: fc.constantFrom('set', 'delete'),
    n: fc.nat(99),
  }),
  { minLength: 1, maxLength: 4 },
)

/** What all is at the end, by a program of its own. */
function expected(input: readonly Command[]) {
  const all = new Map(KEYS.map(key => [key, { entries: new Map<string, number>(), last: null as number | null }]))
  for (const { key, sub, what, n } of input) {
    const state = all.get(key)!
    if (what === 'set') state.entries.set(sub, n)
    else state.entries.delete(sub)
    state.last = what === 'set' ? n : null
  }
  const read = KEYS.map(key => ({ key, entries: [...all.get(key)!.entries].sort(), last: all.get(key)!.last }))
  const due = KEYS.flatMap(key => [...all.get(key)!.entries.keys()].map(sub => ({ key, at: 1_000_000 + sub.charCodeAt(0) })))
  return { read, due: due.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1)) }
}

/** Calls wait until they are let go. `written`: partitions of what is put. */
function gated(store: KeyedStore, written: Set<string>) {
  const waiting: (() => void)[] = []
  const gate = () => new Promise<void>(resolve => waiting.push(resolve))
  const held: KeyedStore = {
    batchGet: async a => gate().then(() => store.batchGet(a)),
    range: async (...a) => gate().then(() => store.range(...a)),
    // Each item is a call of its own, as on DynamoDB.
    upsert: async items => {
      for (const { pk } of items) written.add(pk)
      await Promise.all(items.map(i => gate().then(() => store.upsert([i]))))
    },
    sweep: async (...a) => gate().then(() => store.sweep(...a)),
  }
  return { held, waiting }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

interface Fold {
  readonly waiting: (() => void)[]
  readonly done: Promise<Materialised | undefined>
  ended: boolean
}

function beginFold(h: Harness, cut: number, exclusive = false, itemsMax?: number, written = new Set<string>()): Fold {
  const { held, waiting } = gated(h.ports.store, written)
  const ports = { ...h.ports, store: held }
  const done = materialise(h.topology, h.topology.stages[1]!, 0, cut, ports, { exclusive, itemsMax }).catch(error => {
    if (error instanceof SupersededFoldError) return undefined
    throw error
  })
  const fold: Fold = { waiting, done, ended: false }
  const end = () => {
    fold.ended = true
  }
  done.then(end, end)
  return fold
}

/** Lets calls of a fold go, in an order that `pick` says, `steps` of them or as many as it makes. */
async function step(fold: Fold, steps: number, pick: (n: number) => number) {
  for (let i = 0; i < steps; i++) {
    while (fold.waiting.length === 0 && !fold.ended) await settled()
    if (fold.ended) return
    fold.waiting.splice(pick(fold.waiting.length), 1)[0]!()
  }
}

async function finish(fold: Fold, pick: (n: number) => number): Promise<Materialised | undefined> {
  await step(fold, Number.POSITIVE_INFINITY, pick)
  return fold.done
}

const calls = fc.oneof(fc.constant(0), fc.nat(6), fc.nat(30))

type Step =
  | { readonly kind: 'feed'; readonly commands: readonly Command[] }
  | { readonly kind: 'fold'; readonly steps: number; readonly again: boolean }
  | { readonly kind: 'thaw'; readonly which: number; readonly steps: number }

const plan = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('feed' as const), commands }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('fold' as const), steps: calls, again: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('thaw' as const), which: fc.nat(10), steps: calls }) },
  ),
  { minLength: 3, maxLength: 25 },
)

async function tombstonesOf({ ports }: Harness, written: ReadonlySet<string>): Promise<BaseItem[]> {
  const all = await Promise.all([...written].map(pk => ports.store.range(pk, '', '~', 1000)))
  // A claim has no value either: the next fold takes it away.
  return all.flat().filter(({ pk, value }) => value === undefined && !pk.startsWith('claims|'))
}

/** Entries that a fold holds before it writes them; undefined: more than there are. */
const piece = fc.constantFrom(undefined, 1, 2, 4)

/** A pipeline that is fed and folded as `steps` say; what a cold environment finds at the end is what all that was fed makes. */
async function check(steps: readonly Step[], exclusive: boolean, itemsMax: number | undefined, pick: (n: number) => number) {
  const h = await harness(register())
  const [source, stage] = [h.environment(0), h.environment(1)]
  const input: Command[] = []
  let folds: Fold[] = []
  let cut = 0
  const written = new Set<string>()
  const feed = async (more: readonly Command[]) => {
    const from = input.length
    input.push(...more)
    await source.deliverSource(() => ({ ...batch(input, from, input.length), done: false }))
    await h.deliver(stage)
  }
  for (const s of steps) {
    if (s.kind === 'feed') await feed(s.commands as Command[])
    else if (s.kind === 'fold') {
      // A checkpoint's cuts only grow; one that failed is not folded again. On one machine a fold may go further, to relieve memory, and die.
      if (!s.again) cut = (await stage.ready()).head.version
      if (cut === 0) continue
      if (exclusive) folds = []
      const fold = beginFold(h, exclusive && s.again ? Math.max(1, cut - 1) : cut, exclusive, itemsMax, written)
      folds.push(fold)
      await step(fold, s.steps, pick)
    } else if (folds.length > 0) await step(folds[s.which % folds.length]!, s.steps, pick)
  }
  await feed([{ key: 'a', sub: 'x', what: 'delete', n: 0 }])
  const last = beginFold(h, (await stage.ready()).head.version, exclusive, itemsMax, written)
  const done = [await finish(last, pick)]
  // Only now the others come to their end.
  if (!exclusive) for (const fold of folds) done.push(await finish(fold, pick))
  // Nobody is alive. Of one process each fold has done that, and for those before it that died.
  if (!exclusive) for (const d of done) if (d !== undefined) await sweepTombstones(h.ports.store, d)
  if (exclusive) assert.deepEqual(await tombstonesOf(h, written), [])
  const marker = await readMarker(h.ports.store, stage.log)
  assert.equal(marker, (await stage.ready()).head.version)
  await h.ports.log.raiseFloor(stage.log, marker)
  await h.ports.log.expire(stage.log, 1, marker)
  const asked = [...input, ...KEYS.map(key => ({ key, sub: '', what: 'read' as const, n: 0 }))]
  await source.deliverSource(() => batch(asked, input.length, asked.length))
  await h.deliver(h.environment(1))
  const { read, due } = expected(input)
  const rows = h.results()
  const entries = rows.filter(r => 'entries' in r).map(r => ({ ...r, entries: [...r.entries].sort() }))
  assert.deepEqual(entries, read)
  assert.deepEqual(
    rows.filter(r => 'at' in r),
    due,
  )
}

test('E1, E3, E4: folds that hang and thaw leave the state that the log says, entries that came and went included', async () => {
  const property = fc.asyncProperty(plan, piece, fc.infiniteStream(fc.nat()), async (steps, itemsMax, numbers) => {
    await check(steps as Step[], false, itemsMax, n => numbers.next().value! % n)
  })
  await fc.assert(property, { numRuns: 200 })
})

test('E1, E3, E4: folds that die, of one process, leave the state that the log says, entries that came and went included, and no tombstone', async () => {
  const property = fc.asyncProperty(plan, piece, fc.infiniteStream(fc.nat()), async (steps, itemsMax, numbers) => {
    await check(steps as Step[], true, itemsMax, n => numbers.next().value! % n)
  })
  await fc.assert(property, { numRuns: 200 })
})

test('an entry that comes and goes between two checkpoints is neither written nor deleted', async () => {
  const h = await harness(register())
  const [source, stage] = [h.environment(0), h.environment(1)]
  const input: Command[] = []
  const feed = async (what: Command['what'], sub: string) => {
    input.push({ key: 'a', sub, what, n: 1 })
    await source.deliverSource(() => ({ ...batch(input, input.length - 1, input.length), done: false }))
    await h.deliver(stage)
    return (await stage.ready()).head.version
  }
  const fold = async (cut: number) => materialise(h.topology, stage.at, 0, cut, h.ports)
  await feed('set', 'x')
  const first = await fold(await feed('delete', 'x'))
  assert.deepEqual([first.items, first.tombstones.size], [0, 0])
  await feed('set', 'x')
  assert.equal((await fold(await feed('set', 'y'))).items, 5)
  await feed('set', 'z')
  const last = await fold(await feed('delete', 'y'))
  // The entry and the timer of y and z, and the value, which all were there or are.
  assert.equal(last.items, 5)
  assert.equal(last.tombstones.size, 2)
})

test('what has expired since the base got it comes to the snapshot, though it was made since the one before: its runs tell what goes from the base', async () => {
  const h = await harness(register('1m'))
  const [source, stage] = [h.environment(0), h.environment(1)]
  await source.deliverSource(() => ({ ...batch([{ key: 'a', sub: 'x', what: 'set', n: 1 }], 0, 1), done: false }))
  await h.deliver(stage)
  const cut = (await stage.ready()).head.version
  const relieved = await materialise(h.topology, stage.at, 0, cut, h.ports)
  const expired = new Map(keyedNodes(stage.at.stage).map(({ operatorId }) => [operatorId, 60_001]))
  const keys: string[] = []
  const target = { add: async (items: readonly FoldedItem[]) => void keys.push(...items.map(i => i.item.sk)), async done() {} }
  const snapshot = { since: 0, changes: () => loggedChunks(h.ports, stage.log, 0, cut), target }
  await materialise(h.topology, stage.at, 0, cut, h.ports, { snapshot, expired })
  assert.equal(keys.length, relieved.items)
})

test('E3: a fold that is cut off goes on from where it was: the marker follows what is written, and is never ahead of it', async () => {
  const h = await harness(register())
  const [source, stage] = [h.environment(0), h.environment(1)]
  const input: Command[] = Array.from({ length: 12 }, (_, i) => ({
    key: 'a',
    sub: String.fromCharCode(97 + i),
    what: 'set',
    n: i,
  }))
  for (let i = 0; i < input.length; i++) {
    await source.deliverSource(() => ({ ...batch(input, i, i + 1), done: false }))
    await h.deliver(stage)
  }
  const cut = (await stage.ready()).head.version
  const began: number[] = []
  for (let tries = 1; ; tries++) {
    began.push(await readMarker(h.ports.store, stage.log))
    let left = 10
    const upsert: KeyedStore['upsert'] = async items => {
      for (const item of items) {
        if (left-- === 0) throw new Error('time is up')
        await h.ports.store.upsert([item])
      }
    }
    const ports = { ...h.ports, store: { ...h.ports.store, upsert } }
    const done = await materialise(h.topology, stage.at, 0, cut, ports, { itemsMax: 5 }).catch(() => undefined)
    if (done !== undefined) break
    assert.ok(tries < 10, `${began}`)
  }
  assert.ok(began.length > 2 && began.every((marker, i) => i === 0 || marker > began[i - 1]!), `${began}`)
  await h.ports.log.raiseFloor(stage.log, cut)
  await h.ports.log.expire(stage.log, 1, cut)
  const asked = [...input, { key: 'a', sub: '', what: 'read', n: 0 }]
  await source.deliverSource(() => batch(asked, input.length, asked.length))
  await h.deliver(h.environment(1))
  const [{ entries }] = h.results()
  assert.deepEqual(
    entries,
    input.map(({ sub, n }) => [sub, n]),
  )
})

test('E4: of two folds to different cuts that begin at once, the earlier gives up or the later leaves tombstones', async () => {
  for (const first of ['early', 'late'] as const) {
    const h = await harness(register())
    const [source, stage] = [h.environment(0), h.environment(1)]
    const input: Command[] = []
    const feed = async (what: Command['what']) => {
      input.push({ key: 'a', sub: 'x', what, n: 1 })
      await source.deliverSource(() => ({ ...batch(input, input.length - 1, input.length), done: false }))
      await h.deliver(stage)
      return (await stage.ready()).head.version
    }
    const early = beginFold(h, await feed('set'))
    const late = beginFold(h, await feed('delete'))
    const order = first === 'early' ? [early, late] : [late, early]
    // Claim, claims, marker: each knows by then what it does.
    for (const fold of order) await step(fold, 3, () => 0)
    const [of, after] = [await finish(late, () => 0), await finish(early, () => 0)]
    assert.equal(of!.items, first === 'early' ? 3 : 0)
    assert.equal(after === undefined, first === 'late')
    await sweepTombstones(h.ports.store, of!)
    await h.ports.log.raiseFloor(stage.log, 2)
    await h.ports.log.expire(stage.log, 1, 2)
    await source.deliverSource(() => batch([...input, { key: 'a', sub: '', what: 'read', n: 0 }], 2, 3))
    await h.deliver(h.environment(1))
    assert.deepEqual(h.results(), [{ key: 'a', entries: [], last: null }])
  }
})
