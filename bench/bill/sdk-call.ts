/** CPU that a call costs with the AWS SDK, ms: PutItem to a server of another process that answers at once. `npx node bench/bill/sdk-call.ts` */
import { fork } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { clientConfig } from '../../runtime/aws/client-config.ts'

const CALLS = 3_000
const BODY = JSON.stringify({ ConsumedCapacity: { CapacityUnits: 1, TableName: 't' } })

if (process.send !== undefined) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(BODY))
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
} else {
  const child = fork(import.meta.filename)
  const port = await new Promise<number>(resolve => child.once('message', resolve as (port: unknown) => void))
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  const client = new DynamoDBClient(clientConfig({ region: 'us-east-1', endpoint: `http://127.0.0.1:${port}`, credentials }))
  const Item = { pk: { S: 'log' }, sk: { S: '1'.padStart(16, '0') }, item: { B: new Uint8Array(800) } }
  const put = () => client.send(new PutItemCommand({ TableName: 't', Item, ConditionExpression: 'attribute_not_exists(pk)' }))
  for (let i = 0; i < CALLS; i++) await put()
  const before = process.cpuUsage()
  for (let i = 0; i < CALLS; i++) await put()
  const { user, system } = process.cpuUsage(before)
  console.log(`${((user + system) / 1000 / CALLS).toFixed(2)} ms of CPU a call`)
  child.kill()
}
