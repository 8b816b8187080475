import type { Duration, RemovalPolicy } from 'aws-cdk-lib'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'

export interface MillracePipelineProps {
  /** The file whose default export is the pipeline, relative to where cdk runs. */
  readonly entry: string
  /** The Kinesis stream of each of the pipeline's sources, by the source's name: provisioned, one JSON value a record. */
  readonly sources: Readonly<Record<string, IStream>>
  /** Where sinks write their files, by the sink's name; one that isn't here keeps what the pipeline gives it. A `fileSink` has to be here. */
  readonly sinks?: Readonly<Record<string, FilesInBucket>>
  /**
   * Shards, and with them concurrent functions, of each stage whose operators set none by `.parallelism()`. Default: the pipeline's own, else 1.
   * It is part of what the state depends on: it can't be changed over a running pipeline.
   */
  readonly parallelism?: number
  /** Variables for the user's code in all functions; the pipeline file sees them also when it is loaded here. No secrets: they are in the template. */
  readonly environment?: Readonly<Record<string, string>>
  /** Of the stages' functions, MB: from 1,769 on a whole CPU. Default 1,769. */
  readonly memorySize?: number
  /** How long a stage's function may take for a batch. Default 1 minute. */
  readonly timeout?: Duration
  /** How many records of Kinesis a stage's function gets at most, and how long they are waited for. Default 1,000 of a source, 100 of the frames between stages; no waiting. */
  readonly batching?: { readonly size?: number; readonly window?: Duration }
  /** From the start of a checkpoint to the next: less than a minute, or whole minutes. Nothing is done when nothing flowed. Default 1 minute. */
  readonly checkpointInterval?: Duration
  /** A checkpoint that is not through after this has failed. Default 2 minutes. */
  readonly checkpointTimeout?: Duration
  /** Encrypts streams, tables, bucket, queue and logs. Default: the services' own keys. */
  readonly encryptionKey?: IKey
  /** For state, checkpoints and large changes. Default: one is made. */
  readonly bucket?: IBucket
  /** Gets what tells of records that Kinesis could not hand to a function. Default: one is made. */
  readonly deadLetterQueue?: IQueue
  /** How long logs of functions and of the state machine stay. Default 1 month. */
  readonly logRetention?: RetentionDays
  /** Of tables, bucket and queue. Default RETAIN: a stack that is deleted by mistake has lost nothing. DESTROY empties the bucket too. */
  readonly removalPolicy?: RemovalPolicy.RETAIN | RemovalPolicy.DESTROY
}

export interface FilesInBucket {
  readonly bucket: IBucket
  /** What the keys begin with; `<sink's name>/run=…/checkpoint-…ndjson` follows. Default: nothing. */
  readonly prefix?: string
}
