import assert from 'node:assert/strict'
import { test } from 'node:test'
import jsonata from 'jsonata'
import { checkpointDefinition } from '../../infra/checkpoint-definition.ts'
import { controller, NOW, PARTS } from './controller.ts'
import { isExpression, TaskError } from './states.ts'

const names = (calls: readonly { name: string }[]) => calls.map(({ name }) => name)
const ALL = ['start', 'cut-clicks', 'cut-clicks', 'cut-orders', 'collect', 'materialise', 'materialise', 'complete']

for (const everySeconds of [undefined, 10]) {
  const definition = checkpointDefinition({
    logTable: 'log',
    checkpoint: 'a',
    materialise: 'b',
    cuts: { s: 'c' },
    timeoutSeconds: 120,
    windowSeconds: 0,
    everySeconds,
  }) as any

  test(`every state leads somewhere, and is led to (${everySeconds ?? 'scheduled'})`, () => {
    const check = ({ StartAt, States }: any) => {
      const reached = new Set<string>()
      const visit = (name: string) => {
        assert.ok(Object.hasOwn(States, name), `there is no state ${name}`)
        if (reached.has(name)) return
        reached.add(name)
        const state = States[name]
        const next = [state.Next, state.Default, ...[...(state.Choices ?? []), ...(state.Catch ?? [])].map(c => c.Next)].filter(
          Boolean,
        )
        const ends = state.End === true || state.Type === 'Succeed' || state.Type === 'Fail'
        assert.equal(next.length === 0, ends, `${name} ends, or leads on`)
        if (state.Type === 'Choice') assert.ok(state.Default, `${name} has a default`)
        for (const target of next) visit(target)
        if (state.ItemProcessor) check(state.ItemProcessor)
      }
      visit(StartAt)
      assert.deepEqual(
        Object.keys(States).filter(name => !reached.has(name)),
        [],
      )
    }
    check(definition)
  })

  test(`all expressions are JSONata, and tasks give up somewhere (${everySeconds ?? 'scheduled'})`, () => {
    let expressions = 0
    const walk = (value: unknown) => {
      if (typeof value === 'string') {
        assert.equal(value.includes('{%'), isExpression(value), value)
        if (isExpression(value)) {
          jsonata(value.slice(2, -2))
          expressions++
        }
      } else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) walk(inner)
    }
    walk(definition)
    assert.ok(expressions > 20)
    for (const [name, state] of Object.entries<any>(definition.States)) {
      if (state.Resource?.endsWith('lambda:invoke') || state.Type === 'Map')
        assert.deepEqual(state.Catch.at(-1).ErrorEquals, ['States.ALL'], name)
      if (state.Type === 'Task' && !/sfn|states:::states/.test(state.Resource)) assert.ok(state.Retry.length > 0, name)
    }
    assert.ok(JSON.stringify(definition).length < 100_000)
  })
}

test('a checkpoint: every source is cut, every part materialised, and the lock is gone', async () => {
  const world = controller()
  const ended = await world.run({ repeat: true })
  assert.equal(ended.status, 'SUCCEEDED')
  assert.deepEqual(ended.output, { outcome: 'complete', checkpoint: 7 })
  assert.deepEqual(names(world.calls), ALL)
  assert.deepEqual(
    world.calls.filter(c => c.name.startsWith('cut')).map(c => c.payload),
    [[0, 1], [2], [0]].map(shards => ({ shards, checkpoint: 7 })),
  )
  const { step, materialised, start } = world.calls.at(-1)!.payload
  assert.deepEqual(
    [step, materialised, start.run],
    ['complete', [{ key: 'materialised/clicks' }, { key: 'materialised/pages' }], 'r1'],
  )
  assert.deepEqual(world.calls[5]!.payload.part, PARTS[0])
  assert.equal(world.lock, undefined)
  assert.deepEqual(world.started, [])
})

test('the first step is told whether somebody asked for the checkpoint: only by itself it begins for what is due', async () => {
  for (const [input, scheduled] of [
    [{ repeat: true }, true],
    [{}, false],
    [undefined, false],
  ] as const) {
    const world = controller()
    await world.run(input)
    assert.deepEqual(world.calls[0]!.payload, { step: 'start', scheduled })
  }
})

test('one part alone, and one source alone, are lists too', async () => {
  const world = controller({
    steps: {
      start: () => ({ run: 'r1', checkpoint: 1, sources: [{ stage: 'orders', shards: [4] }] }),
      collect: () => ({ parts: [PARTS[0]], missing: [] }),
    },
  })
  assert.equal((await world.run()).status, 'SUCCEEDED')
  assert.deepEqual(world.calls.at(-1)!.payload.materialised, [{ key: 'materialised/clicks' }])
})

test('where no part has state, none is materialised', async () => {
  const world = controller({ steps: { collect: () => ({ parts: [], missing: [] }) } })
  assert.equal((await world.run()).status, 'SUCCEEDED')
  assert.deepEqual(
    names(world.calls),
    ALL.filter(name => name !== 'materialise'),
  )
  assert.deepEqual(world.calls.at(-1)!.payload.materialised, [])
})

test('when nothing flowed, nobody is called', async () => {
  const world = controller({ steps: { start: () => ({ nothing: true }) } })
  const ended = await world.run()
  assert.deepEqual([ended.status, ended.output], ['SUCCEEDED', { outcome: 'nothing' }])
  assert.deepEqual(names(world.calls), ['start'])
  assert.equal(world.lock, undefined)
})

test('acks are waited for, longer each time, as each look costs', async () => {
  let missing = ['pages/0', 'pages/1', 'pages/2']
  const looks: number[] = []
  const collect = () => {
    missing = missing.slice(1)
    looks.push(world.clock.now - NOW)
    return missing.length > 0 ? { missing } : { parts: PARTS, missing }
  }
  const world = controller({ steps: { collect } })
  assert.equal((await world.run()).status, 'SUCCEEDED')
  assert.deepEqual(looks, [1_000, 2_000, 3_000])
  missing = Array.from({ length: 9 }, (_, i) => `pages/${i}`)
  const late = looks.length
  world.clock.now = NOW
  await world.run()
  assert.deepEqual(
    looks.slice(late).map(ms => ms / 1000),
    [1, 2, 3, 4, 6, 9, 13, 19, 28],
  )
})

test('no look is taken before a stage that waits for its batch may have acked', async () => {
  const looks: number[] = []
  const collect = () => {
    looks.push((world.clock.now - NOW) / 1000)
    return looks.length < 5 ? { missing: ['pages/0'] } : { parts: PARTS, missing: [] }
  }
  const world = controller({ windowSeconds: 10, steps: { collect } })
  assert.equal((await world.run()).status, 'SUCCEEDED')
  assert.deepEqual(looks, [11, 16, 24, 36, 54])
})

test('a checkpoint without all acks fails in time, by the names of those that are missing', async () => {
  for (const missing of [['pages/0'], ['pages/0', 'pages/1']]) {
    const world = controller({ steps: { collect: () => ({ missing }) } })
    const ended = await world.run()
    assert.equal(ended.status, 'FAILED')
    assert.deepEqual([ended.error, ended.cause], ['CheckpointFailed', `no ack within 120 s from ${missing.join(', ')}`])
    assert.deepEqual(world.calls.at(-1)!.payload.missing, missing)
    assert.equal(world.calls.at(-1)!.name, 'fail')
    assert.equal(world.clock.now, NOW + 121_000)
    assert.equal(world.lock, undefined)
  }
})

test('whatever goes wrong ends the checkpoint as failed, with its reason, and gives the lock back', async () => {
  for (const step of ['cut', 'collect', 'materialise', 'complete'] as const) {
    const broken = () => {
      throw new TaskError('UserCodeError', `${step} is broken`)
    }
    const world = controller({ steps: { [step]: broken } })
    const ended = await world.run()
    assert.deepEqual(
      [ended.status, ended.error, ended.cause],
      ['FAILED', 'CheckpointFailed', `UserCodeError: ${step} is broken`],
      step,
    )
    const { step: last, reason, missing, start } = world.calls.at(-1)!.payload
    assert.deepEqual([last, reason, missing, start.checkpoint], ['fail', `UserCodeError: ${step} is broken`, [], 7])
    assert.equal(world.lock, undefined)
  }
})

test("a Lambda's error is JSON, quotes and all: the reason has it, and nothing else breaks by it", async () => {
  const cause = JSON.stringify({
    errorType: 'StateMismatchError',
    errorMessage: `the state of this stack has a "window" \\ no 'sum'`,
  })
  for (const step of ['start', 'cut', 'collect', 'materialise', 'complete'] as const) {
    const broken = () => {
      throw new TaskError('StateMismatchError', cause)
    }
    const world = controller({ steps: { [step]: broken } })
    const ended = await world.run()
    assert.deepEqual([ended.error, ended.cause], ['CheckpointFailed', `StateMismatchError: ${cause}`], step)
    if (step !== 'start') assert.equal(world.calls.at(-1)!.payload.reason, `StateMismatchError: ${cause}`)
    assert.equal(world.lock, undefined)
  }
})

test('what could not even start is no checkpoint that could fail', async () => {
  const world = controller({
    steps: {
      start: () => {
        throw new TaskError('SettingsError', 'the environment is wrong')
      },
    },
  })
  const ended = await world.run()
  assert.deepEqual([ended.status, ended.cause], ['FAILED', 'SettingsError: the environment is wrong'])
  assert.deepEqual(names(world.calls), ['start'])
  assert.equal(world.lock, undefined)
})

test('what may help is tried again, what may not is not', async () => {
  for (const [error, tries] of [
    ['LostRaceError', 6],
    ['ThrottledError', 6],
    ['Lambda.TooManyRequestsException', 6],
    ['UserCodeError', 1],
  ] as const) {
    const complete = () => {
      throw new TaskError(error)
    }
    const world = controller({ steps: { complete } })
    assert.equal((await world.run()).status, 'FAILED')
    assert.equal(names(world.calls).filter(name => name === 'complete').length, tries, error)
  }
  let calls = 0
  const once = () => {
    if (calls++ === 0) throw new TaskError('ServiceUnavailableError')
    return undefined
  }
  const world = controller({ steps: { complete: once } })
  assert.equal((await world.run()).status, 'SUCCEEDED')
})

test('a failure that can not be recorded is told of all the same, and a long one is cut short', async () => {
  const broken = () => {
    throw new TaskError('Oops', 'x'.repeat(10_000))
  }
  const world = controller({ steps: { collect: broken, fail: broken } })
  const ended = await world.run()
  assert.equal(ended.status, 'FAILED')
  assert.equal(ended.cause!.length, 2000)
  assert.equal(world.lock, undefined)
})

test('a checkpoint that somebody else decided has not been taken here', async () => {
  const world = controller({ steps: { complete: () => ({ outcome: 'superseded' }) } })
  const ended = await world.run()
  assert.deepEqual([ended.status, ended.cause], ['FAILED', 'decided before: superseded'])
})

test('there is one at a time', async () => {
  const world = controller()
  world.lock = { owner: { S: 'another' } }
  world.statuses.set('another', 'RUNNING')
  const ended = await world.run()
  assert.deepEqual([ended.status, ended.output], ['SUCCEEDED', { outcome: 'busy', everySeconds: 0 }])
  assert.deepEqual(world.calls, [])
  assert.deepEqual(world.lock, { owner: { S: 'another' } })
})

test('a lock whose owner is through or gone is taken', async () => {
  for (const status of ['FAILED', 'TIMED_OUT', 'ABORTED', 'SUCCEEDED', undefined]) {
    const world = controller()
    world.lock = { owner: { S: 'another' } }
    if (status !== undefined) world.statuses.set('another', status)
    assert.deepEqual((await world.run()).output, { outcome: 'complete', checkpoint: 7 }, status)
    assert.equal(world.lock, undefined)
  }
})

test('a lock that is not its own any more is left alone', async () => {
  const world = controller({
    steps: {
      complete: () => {
        world.lock = { owner: { S: 'another' } }
        return undefined
      },
    },
  })
  assert.equal((await world.run()).status, 'SUCCEEDED')
  assert.deepEqual(world.lock, { owner: { S: 'another' } })
})

test('below a minute, each checkpoint starts the next when its time has come', async () => {
  const world = controller({ everySeconds: 10 })
  const ended = await world.run({ repeat: true })
  assert.equal(ended.status, 'SUCCEEDED')
  assert.equal(world.clock.now, NOW + 10_000)
  assert.equal(world.lock, undefined)
  const [next] = world.started
  assert.equal(next.StateMachineArn, 'arn:aws:states:eu-west-1:1:stateMachine:shop-checkpoints')
  assert.deepEqual(next.Input, { repeat: true, until: new Date(NOW + 150_000).toISOString() })
})

test('a chain ends where nothing flowed, at once: the schedule begins another when something did', async () => {
  const world = controller({ everySeconds: 10, steps: { start: () => ({ nothing: true }) } })
  const ended = await world.run({ repeat: true })
  assert.deepEqual([ended.status, ended.output], ['SUCCEEDED', { outcome: 'nothing' }])
  assert.deepEqual([world.clock.now, world.started, world.lock], [NOW, [], undefined])
  const unknown = () => {
    throw new TaskError('SettingsError')
  }
  const broken = controller({ everySeconds: 10, steps: { start: unknown } })
  await broken.run({ repeat: true })
  assert.equal(broken.started.length, 1)
})

test('one that took longer than the interval is followed at once', async () => {
  let polls = 0
  const collect = () => (++polls > 9 ? { parts: PARTS, missing: [] } : { missing: ['pages/0'] })
  const world = controller({ everySeconds: 10, steps: { collect } })
  await world.run({ repeat: true })
  assert.equal(world.clock.now, NOW + 42_000)
  assert.equal(world.started.length, 1)
})

test('a failed checkpoint does not end the chain', async () => {
  const world = controller({ everySeconds: 10, steps: { complete: () => ({ outcome: 'superseded' }) } })
  assert.equal((await world.run({ repeat: true })).status, 'FAILED')
  assert.equal(world.started.length, 1)
})

test('the chain ends when the schedule has not been heard of for long, and goes on while it is', async () => {
  const silent = controller({ everySeconds: 10 })
  await silent.run({ repeat: true, until: new Date(NOW + 9_000).toISOString() })
  assert.deepEqual(silent.started, [])

  let scheduled: unknown
  const world = controller({
    everySeconds: 10,
    steps: {
      async complete() {
        scheduled = (await world.run({ repeat: true })).output
        return { outcome: 'complete' }
      },
    },
  })
  await world.run({ repeat: true, until: new Date(NOW + 9_000).toISOString() })
  assert.deepEqual(scheduled, { outcome: 'busy', everySeconds: 10 })
  assert.equal(world.started.length, 1)
  // Heard of a second after it began, when it had waited for its acks.
  assert.equal(world.started[0].Input.until, new Date(NOW + 151_000).toISOString())
})

test('a checkpoint that somebody asks for is no link of the chain, and does not keep it alive', async () => {
  const world = controller({ everySeconds: 10 })
  assert.deepEqual((await world.run()).output, { outcome: 'complete', checkpoint: 7 })
  assert.equal(world.clock.now, NOW + 1_000)
  assert.deepEqual(world.started, [])
  world.lock = { owner: { S: 'chain' } }
  world.statuses.set('chain', 'RUNNING')
  assert.deepEqual((await world.run()).output, { outcome: 'busy', everySeconds: 10 })
  assert.deepEqual(world.lock, { owner: { S: 'chain' } })
})
