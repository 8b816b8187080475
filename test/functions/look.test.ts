import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Executions } from '../../runtime/aws/functions/executions.ts'
import { type LookEvent, lookHandler } from '../../runtime/aws/functions/look.ts'
import { embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, context, deploy, drain, environment } from './world.ts'

const MACHINE = 'arn:aws:states:eu-west-1:1:stateMachine:shop-checkpoints'
const LOOK: LookEvent = { step: 'look', machine: MACHINE, at: '2026-11-21T18:59:43Z' }
const BEGUN = [MACHINE, 'scheduled-2026-11-21T18-59-43Z', { repeat: true }] as const

async function open({ runs = false } = {}) {
  const world = await embeddedWorld(visits(), generate(100, 2), 2)
  const asked: unknown[] = []
  const executions: Executions = {
    async running(machine) {
      asked.push(['running', machine])
      return runs
    },
    async start(...what) {
      asked.push(what)
    },
  }
  const look = lookHandler(environment(world), executions)
  return { world, asked, mappings: deploy(world, world.topology), look: (event: LookEvent) => look(event, context()) }
}

test('while nothing flows, nothing is begun, and Step Functions is not even asked', async () => {
  const { world, asked, mappings, look } = await open()
  assert.deepEqual(await look(LOOK), { looked: 'nothing' })
  await mappings[0]!.step(20)
  await drain(mappings.slice(2))
  assert.equal((await checkpoint(world, mappings.slice(2))).outcome, 'complete')
  assert.deepEqual(await look(LOOK), { looked: 'nothing' })
  assert.deepEqual(asked, [])
})

test('a stack that has never had a batch has no run: none is made by looking', async () => {
  const { world } = await open()
  const empty = (deadline: () => number | undefined) => {
    const log = { ...world.ports.log, range: async () => [], putIfAbsent: async () => assert.fail('a run was made') }
    return { ...world.back(deadline), ports: { ...world.ports, log } }
  }
  const never: Executions = { running: async () => assert.fail(), start: async () => assert.fail() }
  const look = lookHandler(environment(world, undefined, empty), never)
  assert.deepEqual(await look(LOOK, context()), { looked: 'nothing' })
})

test('what flowed has one execution begun, of a name that a second call of the same time has too', async () => {
  const { mappings, asked, look } = await open()
  await mappings[0]!.step(1)
  assert.deepEqual(await look(LOOK), { looked: 'begun' })
  assert.deepEqual(asked, [['running', MACHINE], BEGUN])
  assert.deepEqual(await look({ ...LOOK, at: undefined }), { looked: 'begun' })
  assert.deepEqual(asked.at(-1), [MACHINE, undefined, { repeat: true }])
})

test('while a checkpoint is taken, none is begun beside it; a chain is told that its schedule lives', async () => {
  const { mappings, asked, look } = await open({ runs: true })
  await mappings[0]!.step(1)
  assert.deepEqual(await look(LOOK), { looked: 'busy' })
  assert.deepEqual(asked.splice(0), [['running', MACHINE]])
  assert.deepEqual(await look({ ...LOOK, chain: true }), { looked: 'begun' })
  assert.deepEqual(asked, [BEGUN])
})
