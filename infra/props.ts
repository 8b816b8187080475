import type { Duration, RemovalPolicy } from 'aws-cdk-lib'
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'
import type { StateBackendName } from '../runtime/state/backend.ts'
import type { SourceProps } from './sources.ts'

/** What a stage gets. */
export interface StageProps {
  /**
   * Shards, and with them concurrent functions. Not of source stages: they have as many as what they read says. Default: the pipeline's own, else 1.
   * It is part of what the state depends on: it can't be changed over a running pipeline.
   */
  readonly parallelism?: number
  /** Of the function, MB: from 1,769 on a whole CPU. Default 1,769. */
  readonly memorySize?: number
  /** How long the function may take for a batch. Default 1 minute. */
  readonly timeout?: Duration
  /** How many records the function gets at most, and how long they are waited for. Default 1,000 of a source, 10 objects of a bucket, 100 of the frames between stages; no waiting. */
  readonly batching?: { readonly size?: number; readonly window?: Duration }
  /** A reader of its own on the stream: some 50 ms instead of up to a second until a record arrives, and no sharing of the shard's 2 MB/s. Billed by the hour; of Kinesis only. Default false. */
  readonly enhancedFanOut?: boolean
}

/** `parallelism`, `memorySize`, `timeout`, `batching` and `enhancedFanOut` are of all stages that have none of their own in `stages`. */
export interface MillracePipelineProps extends StageProps {
  /** The file whose default export is the pipeline, relative to where cdk runs. */
  readonly entry: string
  /** What each of the pipeline's sources reads, by the source's name, one JSON value a record: a Kinesis stream, provisioned, `{ kafka: … }`, `{ changes: … }` of a DynamoDB table, or `{ objects: … }` of a bucket. */
  readonly sources: Readonly<Record<string, SourceProps>>
  /** Where sinks write their files, by the sink's name; one that isn't here keeps what the pipeline gives it. A `fileSink` has to be here. */
  readonly sinks?: Readonly<Record<string, FilesInBucket>>
  /** Of single stages, by id, as `millrace plan` shows them: what is not said there is as for all. */
  readonly stages?: Readonly<Record<string, StageProps>>
  /** Variables for the user's code in all functions; the pipeline file sees them also when it is loaded here. No secrets: they are in the template. */
  readonly environment?: Readonly<Record<string, string>>
  /** From the start of a checkpoint to the next: less than a minute, or whole minutes. Nothing is done when nothing flowed. Default 1 minute. */
  readonly checkpointInterval?: Duration
  /** A checkpoint that is not through after this has failed. Default 2 minutes. */
  readonly checkpointTimeout?: Duration
  /**
   * Deploys it without starting it: `millrace start` does, or `millrace fork`, which has it begin with a checkpoint of another stack. Once it runs, take this away again: a deployment that changes
   * a mapping would stop it. Default false.
   */
  readonly stopped?: boolean
  /** Encrypts streams, tables, bucket, queue, logs, the functions' variables and the state machine. Default: the services' own keys. */
  readonly encryptionKey?: IKey
  /** For state, checkpoints and large changes: for this pipeline alone. Default: one is made. */
  readonly bucket?: IBucket
  /**
   * Where keyed state lies behind the log: in a `table` of DynamoDB, a row for each entry, or in `segments`, files in the bucket, which cost less where many keys change, and take longer to
   * read. State that is there keeps the one that it was made with. Default: the pipeline's own, else `table`.
   */
  readonly stateBackend?: StateBackendName
  /**
   * Has `millrace backfill --stack` run the pipeline over archives: makes a function for each stage, and the state machine that calls them. They cost nothing while they don't run. Default: none is made.
   *
   * @example
   * backfill: { archives: [{ bucket, prefix: 'clicks/' }] }
   */
  readonly backfill?: BackfillProps
  /**
   * Where Lambda reports records that it could not hand to a function, such as those larger than 6 MB: a queue or a topic gets their positions, a bucket also the records.
   * Default: a queue is made.
   */
  readonly onFailure?: IQueue | ITopic | IBucket
  /** Puts the functions into a VPC, which needs ways to Kinesis, DynamoDB, S3 and, with a key, KMS: endpoints, or a NAT gateway. Default: none. */
  readonly vpc?: IVpc
  /** Default: the private ones. */
  readonly vpcSubnets?: SubnetSelection
  /** Default: one is made for all functions, with nothing allowed in. */
  readonly securityGroups?: readonly ISecurityGroup[]
  /** Of everything that is made here. */
  readonly tags?: Readonly<Record<string, string>>
  /** What the functions count, as metrics of CloudWatch, by pipeline and stage: $0.30 each and month, by the hour in which there is some. Default true. */
  readonly metrics?: boolean
  /**
   * Lets code be deployed that is cut into other stages, or has other operators, than what wrote the stack's state, if that can take it over (docs/upgrading.md): a new run then starts from a checkpoint. Stop the
   * stack before (`millrace stop`); until its new run has begun (`millrace start --from-snapshot`), its functions refuse the state. Without it such a deployment is refused before anything has changed.
   * `allowDrop`: state that nothing takes over any more may go.
   */
  readonly newRun?: { readonly allowDrop?: boolean }
  /**
   * How long what a run has left stays when another has taken its place (`millrace start --from-snapshot`). What it left under way writes for as long as a function may run: what comes when the rest is gone,
   * stays. Default 1 day.
   */
  readonly replacedRunRetention?: Duration
  /** How long the functions' logs stay. Default 1 month. */
  readonly logRetention?: RetentionDays
  /** Of tables, bucket and queue. Default RETAIN: a stack that is deleted by mistake has lost nothing. DESTROY empties the bucket too. */
  readonly removalPolicy?: RemovalPolicy.RETAIN | RemovalPolicy.DESTROY
}

export interface BackfillProps {
  /** What may be read: other places are refused. `prefix`: what the keys begin with, default: anything. */
  readonly archives: readonly FilesInBucket[]
  /** Of each function, MB: state and what is sorted share it. Default: as the stage has. */
  readonly memorySize?: number
}

export interface FilesInBucket {
  readonly bucket: IBucket
  /** What the keys begin with, '' or ending in '/'; `<sink's name>/run=…/checkpoint-…ndjson` follows. Default: nothing. */
  readonly prefix?: string
}
