import assert from 'node:assert/strict'
import test from 'node:test'
import { type Shared, stageLoop } from '../../runtime/embedded/loops.ts'
import type { Subtask } from '../../runtime/stage/subtask.ts'

/** How long the loop sleeps behind each delivery, ms. `polls`: bytes of each frame, as polls give them. */
async function rests(polls: readonly (readonly number[])[], tookMs: number): Promise<number[]> {
  let now = 0
  let poll = 0
  const slept: number[] = []
  const clock = {
    now: () => now,
    sleep: async (ms: number) => {
      slept[poll - 1] = ms
    },
  }
  const shared = {
    ports: { clock },
    streams: {
      poll: async () => polls[poll++]!.map((bytes, i) => ({ seq: `${poll}-${i}`, data: new Uint8Array(bytes) })),
      consumed() {},
    },
    ended: () => poll === polls.length,
  }
  const subtask = {
    shard: 0,
    ready: async () => ({ working: { position: { seq: '' } } }),
    deliver: async () => {
      now += tookMs
      return { covered: '', undecided: undefined }
    },
    close: async () => {},
  }
  await stageLoop(subtask as unknown as Subtask, 'stream', shared as unknown as Shared).run()
  return Array.from(polls, (_, i) => slept[i] ?? 0)
}

test('a stage rests as long as a delivery took that was all there was, and 50 ms at most', async () => {
  const [few, many, heavy] = [[10, 10], Array<number>(8).fill(10), [5 * 1024 * 1024]]
  assert.deepEqual(await rests([many, few, few], 30), [0, 30, 30])
  assert.deepEqual(await rests([few], 200), [50])
  assert.deepEqual(await rests([few], 0), [0])
  assert.deepEqual(await rests([heavy, few], 30), [0, 30], 'more may be there: a poll ends with its bytes too')
})
