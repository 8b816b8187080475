import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { decodeManifest, encodeManifest, type Manifest } from '../../../runtime/checkpoint/manifest.ts'
import { planUpgrade } from '../../../runtime/graph/upgrade.ts'
import { emptyHead } from '../../../runtime/protocol/item.ts'
import { manifestFault } from '../../../runtime/savepoint/manifest-fault.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { SnapshotError } from '../../../runtime/snapshot/error.ts'
import { mutate, noise } from '../mutate.ts'
import { mutateValue } from '../mutate-value.ts'
import { SHAPE } from '../shop.ts'
import { type Target, taken } from '../target.ts'
import { several, text } from '../values.ts'

export const manifests: Target = {
  name: 'manifests',
  once(dice) {
    const manifest = randomManifest(dice)
    const encoded = encodeManifest(manifest)
    const kind = dice.below(9)
    if (kind === 0) {
      assert.deepStrictEqual(decodeManifest(encoded, 'it'), manifest)
      return true
    }
    if (kind === 6) return ofAnother({ ...manifest, shape: jsonOf(mutateValue(SHAPE, dice)) })
    if (kind > 6) return ofAnother(mutateValue(manifest, dice))
    const other = encodeManifest(randomManifest(dice))
    const bytes = kind === 1 ? noise(dice, dice.below(100)) : mutate(encoded, dice, other)
    const tried = kind < 4 ? bytes : resealed(bytes)
    try {
      decodeManifest(tried, 'it')
    } catch (error) {
      if (error instanceof SnapshotError) return false
      throw error
    }
    if (kind < 4)
      assert.ok(
        [encoded, other].some(m => Buffer.from(m).equals(tried)),
        'what passes its checksum is what was written',
      )
    return true
  },
}

/** What passes is as it was written, and its shape is one. */
function ofAnother(manifest: unknown): boolean {
  return taken(() => {
    const found = decodeManifest(encodeManifest(manifest as Manifest), 'it')
    assert.deepStrictEqual(found, manifest)
    const fault = manifestFault(found)
    if (fault !== undefined) throw new SnapshotError(fault)
    planUpgrade(JSON.parse(found.shape), SHAPE)
    for (const { stage } of found.subtasks) assert.ok(JSON.parse(found.shape).stages[stage].operators.length >= 0)
  }, SnapshotError)
}

/** JSON has no word for big integers. */
function jsonOf(value: unknown): string | undefined {
  return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))
}

function randomManifest(dice: Dice): Manifest {
  return {
    pipeline: text(dice),
    run: 'run',
    checkpoint: dice.below(1000),
    createdAt: Math.floor(dice.spread(1, 2 ** 42)),
    shape: JSON.stringify(SHAPE),
    splits: Object.fromEntries(several(dice, () => [`s${dice.below(9)}`, several(dice, () => text(dice))])),
    subtasks: several(dice, () => ({
      stage: dice.below(SHAPE.stages.length),
      shard: dice.below(4),
      log: 'run/stage/0',
      version: dice.below(10_000),
      attempt: text(dice),
      head: emptyHead,
      channelState: several(dice, () => text(dice)),
      runs: several(dice, () => several(dice, () => ({ blob: text(dice), items: dice.below(100), bytes: dice.below(1000) }))),
    })),
  }
}

/** docs/snapshot-format.md */
function resealed(bytes: Uint8Array): Uint8Array {
  const manifest = Buffer.from(bytes)
  if (manifest.length < 16) return manifest
  manifest.writeUInt32LE(manifest.length - 16, 8)
  manifest.writeUInt32LE(crc32(manifest.subarray(16)), 12)
  return manifest
}
