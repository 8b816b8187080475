import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import test from 'node:test'
import * as z from 'zod'
import { compatibleHandler } from '../../runtime/aws/functions/compatible.ts'
import { adoptShape, joinRun, openRestored, readRun, refuseInterrupted } from '../../runtime/checkpoint/run-meta.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { shapeOf } from '../../runtime/graph/shape.ts'
import { monotonous, ndjson, pipeline, print, value } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import { embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'

const shape = (parallelism: number) => shapeOf(planPhysical(visits().graph(), { parallelism }))

/** What CloudFormation would get, over HTTP. */
async function answering(work: (url: string) => Promise<void>): Promise<any> {
  let body = ''
  const server = createServer((request, response) => {
    assert.equal(request.method, 'PUT')
    request.on('data', data => {
      body += data
    })
    request.on('end', () => response.end())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  try {
    await work(`http://127.0.0.1:${(server.address() as { port: number }).port}/signed`)
  } finally {
    server.close()
  }
  return JSON.parse(body)
}

interface Asked {
  readonly Pipeline?: string
  readonly StateBackend?: 'table' | 'segments'
  readonly NewRun?: 'keep' | 'drop'
}

/** What the function answers CloudFormation. */
const asks =
  (ports: Pick<Ports, 'log'>) =>
  (Shape: string, asked: Asked = {}, RequestType: 'Create' | 'Update' | 'Delete' = 'Update') =>
    answering(ResponseURL => {
      const ids = { StackId: 'stack', RequestId: 'request', LogicalResourceId: 'CompatibleState', PhysicalResourceId: 'it' }
      const ResourceProperties = { Pipeline: 'visits', Shape, ...asked }
      return compatibleHandler(ports)({ ...ids, RequestType, ResponseURL, ResourceProperties })
    })

test('code that the state fits is let through, other code is refused by name, and the way back is free', async () => {
  const { ports } = await embeddedWorld(visits(), generate(10, 2), 2)
  const ask = asks(ports)
  const { Status, ...ids } = await ask(shape(2))
  assert.equal(Status, 'SUCCESS')
  assert.deepEqual(ids, {
    StackId: 'stack',
    RequestId: 'request',
    LogicalResourceId: 'CompatibleState',
    PhysicalResourceId: 'it',
  })
  const refused = await ask(shape(3))
  assert.equal(refused.Status, 'FAILED')
  assert.match(refused.Reason, /written by another plan of 'visits' \(.*parallelism.*\): deploy the code that it was made by/)
  const other = await ask(shape(2), { Pipeline: 'orders' })
  assert.match(other.Reason, /belongs to pipeline 'visits', not 'orders'/)
  // CloudFormation rolls back by asking with the old properties.
  assert.equal((await ask(shape(2))).Status, 'SUCCESS')
  assert.equal((await ask(shape(3), {}, 'Delete')).Status, 'SUCCESS')
  assert.equal((await ask(shape(2), { StateBackend: 'table' })).Status, 'SUCCESS')
  assert.match(
    (await ask(shape(2), { StateBackend: 'segments' })).Reason,
    /was made with the state backend 'table', not 'segments': set stateBackend to 'table', or deploy/,
  )
})

/** Two pipelines of one layout whose values are of other versions; a third has another operator more. */
function keeping(version: number, more = false) {
  const app = pipeline('visits')
  const events = app.source('events', ndjson(z.object({ user: z.string(), at: z.number() })), {
    time: e => e.at,
    watermark: monotonous(),
  })
  const migrate = Object.fromEntries(Array.from({ length: version - 1 }, (_, i) => [i + 1, (old: unknown) => old]))
  const users = events.keyBy('user')
  users
    .process({ state: { seen: value<unknown>({ version, migrate }) }, onRecord: e => [e] })
    .uid('seen')
    .sink('seen', print())
  if (more)
    users
      .reduce((_, b) => b)
      .uid('last')
      .sink('last', print())
  return app
}
const shapeOfKeeping = (...args: Parameters<typeof keeping>) => shapeOf(planPhysical(keeping(...args).graph()))

test('code whose values are of newer versions is let through, and takes the run over; code of older ones is refused, but for a rollback', async () => {
  const ports = await openEmbedded({})
  const ask = asks(ports)
  const join = (shape: string) => joinRun(ports, { pipeline: 'visits', shape }, async () => ({ events: ['0'] }))
  const made = await join(shapeOfKeeping(2))
  assert.equal((await ask(shapeOfKeeping(3))).Status, 'SUCCESS')
  assert.match(
    (await ask(shapeOfKeeping(1))).Reason,
    /seen of seen: its values are of version 2, and this code knows them up to version 1/,
  )
  assert.equal((await join(shapeOfKeeping(3))).run, made.run)
  assert.equal((await readRun(ports))!.shape, shapeOfKeeping(3))
  // CloudFormation rolls back; what is written by now the old code refuses, by name.
  assert.equal((await ask(shapeOfKeeping(2))).Status, 'SUCCESS')
  await assert.rejects(join(shapeOfKeeping(2)), /its values are of version 3, and this code knows them up to version 2/)
})

test('code of another layout takes a new run, and what that would drop is dropped only where the deployment says so', async () => {
  const ports = await openEmbedded({})
  const ask = asks(ports)
  await joinRun(ports, { pipeline: 'visits', shape: shapeOfKeeping(1, true) }, async () => ({ events: ['0'] }))
  assert.match((await ask(shapeOfKeeping(1))).Reason, /another plan of 'visits' \(last.* gone.*\).*newRun of the construct/)
  assert.match(
    (await ask(shapeOfKeeping(1), { NewRun: 'keep' })).Reason,
    /state that nothing in 'visits' takes over any more: reduced of last/,
  )
  assert.equal((await ask(shapeOfKeeping(1), { NewRun: 'drop' })).Status, 'SUCCESS')
})

test('without state anything fits; where that can not be found out, the answer says so', async () => {
  const empty = { log: { range: async () => [] } as any }
  assert.equal((await asks(empty)(shape(1), {}, 'Create')).Status, 'SUCCESS')
  const away = { log: { range: async () => Promise.reject(new Error('no network')) } as any }
  const answer = await asks(away)(shape(1))
  assert.equal(answer.Status, 'FAILED')
  assert.match(answer.Reason, /could not be found out: no network/)
})

// What it adopts goes to the run that it was checked against, or to none; and no restore ends for it, which has fenced the old run by then.
test('a function that adopts newer versions of values while a restore is under way neither undoes it nor changes the new run', async () => {
  const ports = await openEmbedded({})
  const [kept, begun] = [shapeOfKeeping(2), shapeOfKeeping(4)]
  const kind = { pipeline: 'visits', shape: kept, splits: { events: ['0'] } }
  const { run } = await joinRun(ports, kind, async () => kind.splits)
  // Its look at whether a restore is under way is through when that begins, its put comes in the middle.
  const [asked, waits] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const putIfAbsent = async (...put: Parameters<Ports['log']['putIfAbsent']>) => {
    asked.resolve()
    await waits.promise
    return ports.log.putIfAbsent(...put)
  }
  const adopting = adoptShape({ log: { ...ports.log, putIfAbsent } }, run, shapeOfKeeping(3), 'this stack')
  await asked.promise
  const restored = await openRestored(ports, { ...kind, shape: begun }, 1, async () => {
    waits.resolve()
    await adopting
    await assert.rejects(refuseInterrupted(ports, 'this stack'), /starting from checkpoint 1 was interrupted/)
    return { run, checkpoint: 1 }
  })
  await refuseInterrupted(ports, 'this stack')
  assert.deepEqual([(await readRun(ports))!.run, (await readRun(ports))!.shape], [restored.run, begun])
  await assert.rejects(adoptShape(ports, run, shapeOfKeeping(3), 'this stack'), {
    name: 'LostRaceError',
    message: `run ${restored.run} has taken the place of ${run} in this stack`,
  })
  assert.equal((await readRun(ports))!.shape, begun)
})
