import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatPosition } from '../../runtime/aws/position.ts'
import { NO_FAULTS } from '../../runtime/sim/faults.ts'
import type { Lambda, Outcome } from '../../runtime/sim/lambda.ts'
import { openMapping } from '../../runtime/sim/mapping.ts'
import { dice } from '../../runtime/sim/random.ts'
import { openScheduler } from '../../runtime/sim/scheduler.ts'
import type { Simulation } from '../../runtime/sim/simulation.ts'
import type { Kinesis } from '../../runtime/sim/streams.ts'

const STUCK_MS = 60_000
const FROM_BEGINNING: Outcome = { answer: { batchItemFailures: [{ itemIdentifier: '1' }] } }
const FAILED: Outcome = { error: 'Error', message: 'it failed' }

/** Whether it is told to be stuck when its function answers like this, one time after the other, and at last no more; it is left alone behind each error. */
async function isToldStuck(outcomes: readonly Outcome[], seed: number): Promise<boolean> {
  const scheduler = openScheduler(0, dice(seed).fraction)
  const faults = { ...NO_FAULTS, happens: (fault: string) => fault === 'shard is left alone' }
  const simulation: Simulation = { scheduler, dice: dice(seed), faults, trace: undefined }
  let asked = 0
  let told = false
  const lambda = {
    invoke: async () => outcomes[asked++] ?? (await new Promise<never>(() => {})),
  } as unknown as Lambda
  const record = { seq: formatPosition('1'), data: new Uint8Array(), arrivedAt: 0 }
  const kinesis = { more: async () => {}, records: () => [record] } as unknown as Kinesis
  const mapping = openMapping(simulation, kinesis, lambda, {
    stream: 'events',
    shard: 0,
    batchMax: 10,
    stuckMs: STUCK_MS,
    onStuck: () => {
      told = true
    },
  })
  mapping.start()
  await scheduler.run(() => asked > outcomes.length)
  return told
}

test('who answers for long and gets no further is told', async () => {
  for (let seed = 0; seed < 5; seed++) assert.equal(await isToldStuck(Array(100).fill(FROM_BEGINNING), seed), true)
})

test('while a shard is left alone nobody could get further: it counts from when somebody is back (seed 1709)', async () => {
  const outcomes = [...Array(8).fill(FROM_BEGINNING), FAILED, ...Array(8).fill(FROM_BEGINNING)]
  for (let seed = 0; seed < 5; seed++) assert.equal(await isToldStuck(outcomes, seed), false)
})
