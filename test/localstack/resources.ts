import { CreateTableCommand, DeleteTableCommand, type DynamoDBClient, waitUntilTableExists } from '@aws-sdk/client-dynamodb'
import { CreateStreamCommand, DeleteStreamCommand, type KinesisClient, waitUntilStreamExists } from '@aws-sdk/client-kinesis'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3'
import { awsClearing } from '../../runtime/aws/clearing.ts'
import { openClients } from '../../runtime/aws/clients.ts'
import { stageStreams } from '../../runtime/aws/names.ts'
import { type AwsOptions, type AwsPorts, awsPorts } from '../../runtime/aws/ports.ts'
import { PARTITION_KEY, SORT_KEY } from '../../runtime/aws/row.ts'
import { systemRandom } from '../../runtime/embedded/clock.ts'
import type { Clearing } from '../../runtime/ports.ts'

/** Where LocalStack listens, or undefined: start.sh and `npm run test:localstack` say it in the environment. */
export const endpoint = process.env.LOCALSTACK_ENDPOINT

/** For node:test's `skip`: false with an endpoint, else why. */
export const withoutLocalStack = endpoint === undefined ? 'needs LOCALSTACK_ENDPOINT: npm run test:localstack' : false

/** LocalStack's own, which it makes of these credentials. */
export const account = {
  id: '000000000000',
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
} as const

export const clientOptions = { endpoint, region: account.region, credentials: account.credentials }
const WAIT_S_MAX = 60

export interface AwsFixture {
  readonly options: AwsOptions
  readonly ports: AwsPorts
  readonly clearing: Clearing
  /** Removes what was made. */
  close(): Promise<void>
}

/** Fresh tables, a bucket and streams of `shards` shards each (by the names that the ports' callers use), and ports on them. */
export async function openAwsFixture(streams: readonly string[], shards: number): Promise<AwsFixture> {
  const prefix = `millrace-${systemRandom.id()}`
  const clients = openClients(clientOptions)
  const nameOf = stageStreams(prefix)
  const tables = { log: `${prefix}-log`, state: `${prefix}-state` }
  const options: AwsOptions = { ...clientOptions, streams: nameOf, tables, bucket: prefix, prefix: 'objects/' }
  await Promise.all([
    ...Object.values(tables).map(table => createTable(clients.dynamodb, table)),
    clients.s3.send(new CreateBucketCommand({ Bucket: prefix })),
    createStreams(clients.kinesis, streams.map(nameOf), shards),
  ])
  clients.close()
  const ports = awsPorts(options)
  const clearing = awsClearing(options)
  const close = async () => {
    ports.close()
    clearing.close()
    // New ones: LocalStack hangs up on a connection that nobody has used for a minute.
    const clients = openClients(clientOptions)
    await Promise.all([
      ...Object.values(tables).map(TableName => clients.dynamodb.send(new DeleteTableCommand({ TableName }))),
      ...streams.map(stream => clients.kinesis.send(new DeleteStreamCommand({ StreamName: nameOf(stream) }))),
      removeBucket(clients.s3, prefix),
    ])
    clients.close()
  }
  return { options, ports, clearing, close }
}

async function createTable(client: DynamoDBClient, TableName: string): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [PARTITION_KEY, SORT_KEY].map(AttributeName => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: PARTITION_KEY, KeyType: 'HASH' },
        { AttributeName: SORT_KEY, KeyType: 'RANGE' },
      ],
    }),
  )
  await waitUntilTableExists({ client, maxWaitTime: WAIT_S_MAX, minDelay: 1 }, { TableName })
}

/** One after the other: Kinesis takes five such calls a second, and LocalStack starts its Kinesis at the first. */
async function createStreams(client: KinesisClient, names: readonly string[], ShardCount: number): Promise<void> {
  for (const StreamName of names) {
    await client.send(new CreateStreamCommand({ StreamName, ShardCount, StreamModeDetails: { StreamMode: 'PROVISIONED' } }))
    await waitUntilStreamExists({ client, maxWaitTime: WAIT_S_MAX, minDelay: 1 }, { StreamName })
  }
}

async function removeBucket(client: S3Client, Bucket: string): Promise<void> {
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
    if (Contents.length === 0) break
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: Contents.map(({ Key }) => ({ Key: Key! })) } }))
  }
  await client.send(new DeleteBucketCommand({ Bucket }))
}
