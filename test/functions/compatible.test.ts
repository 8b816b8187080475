import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import test from 'node:test'
import { compatibleHandler } from '../../runtime/aws/functions/compatible.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { shapeOf } from '../../runtime/graph/shape.ts'
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

function request(
  ResponseURL: string,
  Shape: string,
  RequestType: 'Create' | 'Update' | 'Delete' = 'Update',
  Pipeline = 'visits',
) {
  const ids = { StackId: 'stack', RequestId: 'request', LogicalResourceId: 'CompatibleState', PhysicalResourceId: 'it' }
  return { ...ids, RequestType, ResponseURL, ResourceProperties: { Pipeline, Shape } }
}

test('code that the state fits is let through, other code is refused by name, and the way back is free', async () => {
  const { ports } = await embeddedWorld(visits(), generate(10, 2), 2)
  const ask = (...args: [string, ('Create' | 'Update' | 'Delete')?, string?]) =>
    answering(url => compatibleHandler(ports)(request(url, ...args)))
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
  const other = await ask(shape(2), 'Update', 'orders')
  assert.match(other.Reason, /belongs to pipeline 'visits', not 'orders'/)
  // CloudFormation rolls back by asking with the old properties.
  assert.equal((await ask(shape(2))).Status, 'SUCCESS')
  assert.equal((await ask(shape(3), 'Delete')).Status, 'SUCCESS')
  const asked = (StateBackend: 'table' | 'segments') =>
    answering(url => {
      const event = request(url, shape(2))
      return compatibleHandler(ports)({ ...event, ResourceProperties: { ...event.ResourceProperties, StateBackend } })
    })
  assert.equal((await asked('table')).Status, 'SUCCESS')
  assert.match(
    (await asked('segments')).Reason,
    /was made with the state backend 'table', not 'segments': set stateBackend to 'table', or deploy/,
  )
})

test('without state anything fits; where that can not be found out, the answer says so', async () => {
  const empty = { log: { range: async () => [] } as any }
  assert.equal((await answering(url => compatibleHandler(empty)(request(url, shape(1), 'Create')))).Status, 'SUCCESS')
  const away = { log: { range: async () => Promise.reject(new Error('no network')) } as any }
  const answer = await answering(url => compatibleHandler(away)(request(url, shape(1))))
  assert.equal(answer.Status, 'FAILED')
  assert.match(answer.Reason, /could not be found out: no network/)
})
