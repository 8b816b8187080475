import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { decodeManifest, encodeManifest, type Manifest } from '../../../runtime/checkpoint/manifest.ts'
import { emptyHead } from '../../../runtime/protocol/item.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { SnapshotError } from '../../../runtime/snapshot/error.ts'
import { mutate, noise } from '../mutate.ts'
import type { Target } from '../target.ts'
import { several, text } from '../values.ts'

export const manifests: Target = {
  name: 'manifests',
  once(dice) {
    const manifest = randomManifest(dice)
    const encoded = encodeManifest(manifest)
    const kind = dice.below(6)
    if (kind === 0) {
      assert.deepStrictEqual(decodeManifest(encoded, 'it'), manifest)
      return true
    }
    const bytes = kind === 1 ? noise(dice, dice.below(100)) : mutate(encoded, dice)
    const tried = kind < 4 ? bytes : resealed(bytes)
    try {
      decodeManifest(tried, 'it')
    } catch (error) {
      if (error instanceof SnapshotError) return false
      throw error
    }
    if (kind < 4) assert.deepEqual(Buffer.from(tried), Buffer.from(encoded), 'what passes its checksum is what was written')
    return true
  },
}

function randomManifest(dice: Dice): Manifest {
  return {
    pipeline: text(dice),
    run: 'run',
    checkpoint: dice.below(1000),
    createdAt: Math.floor(dice.spread(1, 2 ** 42)),
    shape: JSON.stringify({ keyGroups: 128, stages: [] }),
    splits: Object.fromEntries(several(dice, () => [`s${dice.below(9)}`, several(dice, () => text(dice))])),
    subtasks: several(dice, () => ({
      stage: dice.below(4),
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
