import assert from 'node:assert/strict'
import { decodeChannelState, encodeChannelState, type KeptFrame } from '../../../runtime/checkpoint/channel-state.ts'
import { BrokenLogError } from '../../../runtime/protocol/errors.ts'
import { decodeItem, emptyHead, encodeItem, type HeadFields, type SlotItem } from '../../../runtime/protocol/item.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { SnapshotError } from '../../../runtime/snapshot/error.ts'
import { pack } from '../../../runtime/state/codec.ts'
import { mutate, noise } from '../mutate.ts'
import { mutateValue } from '../mutate-value.ts'
import { type Target, taken } from '../target.ts'
import { number, several, text } from '../values.ts'

/** Entries of commit logs, and channel state: neither has a checksum of its own, so what is refused is what is none of them. */
export const slots: Target = {
  name: 'slots',
  once: dice => (dice.chance(0.5) ? slot(dice) : channel(dice)),
}

function slot(dice: Dice): boolean {
  const item = randomItem(dice)
  if (dice.chance(0.2)) {
    assert.deepStrictEqual(decodeItem(encodeItem(item)), item)
    return true
  }
  const bytes = dice.chance(0.5) ? mutate(encodeItem(item), dice, encodeItem(randomItem(dice))) : pack(mutateValue(item, dice))
  return taken(() => {
    const { kind, attempt, prev, ...rest } = decodeItem(bytes)
    assert.ok(['commit', 'abort', 'seal'].includes(kind) && typeof attempt === 'string' && typeof prev === 'string')
    if (kind !== 'abort') assert.notEqual((rest as { head: HeadFields }).head.position, undefined)
  }, BrokenLogError)
}

function randomItem(dice: Dice): SlotItem {
  const start = { attempt: text(dice), prev: text(dice) }
  if (dice.chance(0.2)) return { kind: 'abort', ...start }
  const commit = {
    ...start,
    lastCommit: [dice.below(1000), text(dice)] as const,
    head: randomHead(dice),
    chunk: dice.pick([undefined, { blob: text(dice) }, { inline: new Uint8Array(noise(dice, dice.below(40))) }]),
  }
  return dice.chance(0.2)
    ? { kind: 'seal', ...commit, children: several(dice, () => dice.below(9)) }
    : { kind: 'commit', ...commit }
}

function randomHead(dice: Dice): HeadFields {
  return {
    ...emptyHead,
    position: { seq: text(dice), offset: dice.below(100) },
    source: dice.pick([undefined, { offset: number(dice), line: text(dice) }]),
    accepted: several(dice, () => [dice.below(9), dice.below(1000), dice.below(9)] as const),
    watermarks: several(dice, () => [dice.below(9), number(dice)] as const),
    watermark: number(dice),
    sinks: several(dice, () => [dice.below(9), { [text(dice)]: text(dice) }] as const),
  }
}

function channel(dice: Dice): boolean {
  const kept = several(dice, () => randomKept(dice))
  const encoded = encodeChannelState(kept)
  if (dice.chance(0.2)) {
    assert.deepStrictEqual(decodeChannelState(encoded, 'it'), kept)
    return true
  }
  const bytes = dice.chance(0.5) ? mutate(encoded, dice) : pack(mutateValue(kept, dice))
  return taken(() => {
    for (const { data, from, to } of decodeChannelState(bytes, 'it')) assert.ok(data instanceof Uint8Array && from <= to)
  }, SnapshotError)
}

function randomKept(dice: Dice): KeptFrame {
  const from = dice.below(100)
  const to = dice.pick([from, from + 1, Number.POSITIVE_INFINITY])
  return { data: new Uint8Array(noise(dice, dice.below(40))), from, to }
}
