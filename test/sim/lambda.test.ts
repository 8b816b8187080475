import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_FAULTS } from '../../runtime/sim/faults.ts'
import { type Lambda, openLambda } from '../../runtime/sim/lambda.ts'
import { dice } from '../../runtime/sim/random.ts'
import { openScheduler } from '../../runtime/sim/scheduler.ts'
import type { Simulation } from '../../runtime/sim/simulation.ts'

const TIMEOUT_MS = 1_000

/** Invocations one after the other, each of which ends right before its time is over, in whichever environment there is. */
async function invoke(lambda: Lambda, times: number): Promise<string[]> {
  const heard: string[] = []
  for (let i = 0; i < times; i++) {
    const outcome = await lambda.invoke({})
    heard.push('error' in outcome ? outcome.error : outcome.answer)
  }
  return heard
}

test('a function that ends in time has, however late its answer comes, and its environment is used again', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const scheduler = openScheduler(0, dice(seed).fraction)
    const simulation: Simulation = { scheduler, dice: dice(seed), faults: NO_FAULTS, trace: undefined }
    const lambda = openLambda(simulation, {
      name: 'late',
      timeoutMs: TIMEOUT_MS,
      load:
        ({ clock }) =>
        async () => {
          await clock.sleep(TIMEOUT_MS - 0.5)
          return 'done'
        },
      onError: error => assert.fail(error as Error),
    })
    let heard: string[] | undefined
    void invoke(lambda, 5).then(all => {
      heard = all
    })
    await scheduler.run(() => heard !== undefined || scheduler.now > 100 * TIMEOUT_MS)
    assert.deepEqual(heard, Array(5).fill('done'), `seed ${seed}`)
  }
})
