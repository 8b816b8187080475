import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { S3Client } from '@aws-sdk/client-s3'
import { type ClientOptions, clientConfig } from './client-config.ts'

export interface Clients {
  readonly kinesis: KinesisClient
  readonly dynamodb: DynamoDBClient
  readonly s3: S3Client
  /** Closes their connections. */
  close(): void
}

/** What the ports need, on one pool of connections. */
export function openClients(options: ClientOptions): Clients {
  const config = clientConfig(options)
  const kinesis = new KinesisClient(config)
  const dynamodb = new DynamoDBClient(config)
  const s3 = openS3(options, config)
  const close = () => {
    for (const client of [kinesis, dynamodb, s3]) client.destroy()
  }
  return { kinesis, dynamodb, s3, close }
}

/** Elsewhere than on AWS, buckets are no host names. */
export function openS3(options: ClientOptions, config = clientConfig(options)): S3Client {
  const elsewhere = options.endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL
  return new S3Client({ ...config, forcePathStyle: elsewhere !== undefined })
}
