import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Environment } from '../../runtime/aws/functions/environment.ts'
import { checkPositions, type Standing } from '../../runtime/aws/functions/positions.ts'
import { readShardMap } from '../../runtime/aws/functions/shard-map.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
/** When the checkpoint's manifest was written. */
const MADE = 1_000 * HOUR

const untouched: Standing = {
  source: 'views',
  subtask: 0,
  map: readShardMap(undefined, 'shard-0', 0, 0),
}

/** Of a checkpoint that had read nothing of the shard, whose oldest record came at `oldest`. */
function check(now: number, oldest: number | undefined): Promise<void> {
  const records = oldest === undefined ? [] : [{ seq: '1', data: new Uint8Array(), arrivedAt: oldest }]
  const environment = {
    ports: { clock: { now: () => now } },
    settings: { sources: { views: { kind: 'kinesis', stream: 'views' } } },
    sourceStreams: { listShards: async () => [{ id: 'shard-0' }], read: async () => ({ records }) },
  }
  return checkPositions(environment as unknown as Environment, [untouched], MADE, 'checkpoint 3')
}

describe('a checkpoint that had read nothing of a shard', () => {
  test('is read on from, while the stream keeps all that came since', async () => {
    await check(MADE + 22 * HOUR, undefined)
    await check(MADE + 22 * HOUR, MADE + HOUR)
  })

  test('and later, if what is oldest there came before its cut', async () => {
    await check(MADE + 30 * HOUR, MADE - HOUR)
  })

  test('is refused when records may be gone: also such that came between its cut and its manifest', async () => {
    const refused = { name: 'PositionError', message: /^checkpoint 3 had read nothing of shard-0 of stream views yet/ }
    await assert.rejects(check(MADE + 30 * HOUR, undefined), refused)
    await assert.rejects(check(MADE + 30 * HOUR, MADE + MINUTE), refused)
    await assert.rejects(check(MADE + 30 * HOUR, MADE - MINUTE), refused)
  })
})
