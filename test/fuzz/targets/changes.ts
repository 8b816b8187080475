import assert from 'node:assert/strict'
import { FrameError } from '../../../runtime/protocol/frame.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { type CreatedEntry, countChanges, encodeCreated, forEachChange } from '../../../runtime/state/changelog.ts'
import { pack, unpack } from '../../../runtime/state/codec.ts'
import { mutate } from '../mutate.ts'
import { type Target, taken } from '../target.ts'
import { text, value } from '../values.ts'

/** State as logs hold it, and the values that lie behind them. */
export const changes: Target = {
  name: 'changes',
  once(dice) {
    const stored = value(dice)
    assert.deepStrictEqual(unpack(pack(stored)), stored, 'what is stored comes back')
    const parts = Array.from({ length: 1 + dice.below(3) }, () => randomChunk(dice))
    const chunk = Buffer.concat(parts.map(p => p.chunk))
    if (dice.chance(0.2)) {
      assert.deepStrictEqual(
        read(chunk),
        parts.flatMap(p => p.entries),
      )
      assert.equal(countChanges(chunk), parts.flatMap(p => p.entries).length)
      return true
    }
    const bytes = mutate(chunk, dice)
    countChanges(bytes)
    let found: unknown[] = []
    const isTaken = taken(() => {
      found = read(bytes)
    }, FrameError)
    if (isTaken) checkParts(found, parts)
    return isTaken
  },
}

interface Chunk {
  readonly chunk: Uint8Array
  readonly entries: unknown[]
}

/** What passes its checksums are frames that were written, each as a whole: their blob's length says whether they are all (ChangesRef). */
function checkParts(found: readonly unknown[], parts: readonly Chunk[]): void {
  for (let at = 0; at < found.length; ) {
    const part = parts.find(({ entries }) => isEqual(found.slice(at, at + entries.length), entries))
    assert.ok(part, 'a change that nobody wrote')
    at += part.entries.length
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  try {
    assert.deepStrictEqual(a, b)
    return true
  } catch {
    return false
  }
}

function randomChunk(dice: Dice): Chunk {
  const entries = Array.from({ length: 1 + dice.below(4) }, () => randomEntry(dice))
  const chunk = encodeCreated(entries, {
    run: 'r',
    producer: 1,
    version: 2,
    attempt: 'a',
    index: 1,
    predVersion: 1,
    predIndex: 1,
  })!
  return {
    chunk,
    entries: entries.map(({ operator, state, key, subkey, value: v, tag, timestamp }) => {
      const isMap = subkey !== undefined
      return { operator, state, key, written: true, created: true, value: isMap ? { k: subkey, v } : v, tag, timestamp }
    }),
  }
}

function randomEntry(dice: Dice): CreatedEntry {
  return {
    operator: dice.below(4),
    state: dice.below(30),
    key: dice.pick([text(dice), dice.below(1000)]),
    subkey: dice.pick([undefined, text(dice)]),
    value: value(dice, 2) ?? 0,
    tag: dice.pick([undefined, '2', '3.abcdef']),
    timestamp: dice.pick([0, Math.floor(dice.spread(1, 2 ** 45))]),
  }
}

function read(chunk: Uint8Array): unknown[] {
  const found: unknown[] = []
  forEachChange(chunk, ({ operator, state, key, written, created, value: v, tag, timestamp }) => {
    // Of a map; a value of a user may have a `t` of its own.
    const isTagged = tag !== undefined && typeof v === 'object' && v !== null && 'k' in v && v.t === tag
    found.push({ operator, state, key, written, created, value: isTagged ? { k: v.k, v: v.v } : v, tag, timestamp })
  })
  return found
}
