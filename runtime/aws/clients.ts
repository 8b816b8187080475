import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { S3Client } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'

const CONNECT_MS_MAX = 3_000
/** A few port calls at a time, each with its lanes (concurrency.ts). The SDK's default would have them queue, and warn about it. */
const CONNECTIONS_MAX = 128

export interface ClientOptions {
  /** Default: as the SDK finds it (AWS_REGION, profile). */
  readonly region?: string
  /** Another place than AWS: LocalStack. Default: as the SDK finds it (AWS_ENDPOINT_URL). */
  readonly endpoint?: string
  /** Default: as the SDK finds them. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
}

export interface Clients {
  readonly kinesis: KinesisClient
  readonly dynamodb: DynamoDBClient
  readonly s3: S3Client
  /** Closes their connections. */
  close(): void
}

/**
 * One pool of kept connections for the three of them. HTTP/1.1 for Kinesis too: its client would take HTTP/2, which LocalStack does not speak, and which has all
 * calls wait when its one connection dies.
 */
export function openClients({ region, endpoint, credentials }: ClientOptions): Clients {
  const requestHandler = new NodeHttpHandler({
    connectionTimeout: CONNECT_MS_MAX,
    httpAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
    httpsAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
  })
  // Tries are call.ts's business.
  const common = { region, endpoint, credentials, requestHandler, maxAttempts: 1 }
  const elsewhere = endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL
  const kinesis = new KinesisClient(common)
  const dynamodb = new DynamoDBClient(common)
  const s3 = new S3Client({ ...common, forcePathStyle: elsewhere !== undefined })
  const close = () => {
    for (const client of [kinesis, dynamodb, s3]) client.destroy()
  }
  return { kinesis, dynamodb, s3, close }
}
