import assert from 'node:assert/strict'
import { ListShardsCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { GetFunctionConfigurationCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { DescribeExecutionCommand, ListExecutionsCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { openClients } from '../../runtime/aws/clients.ts'
import { openEnvironment, openSeen } from '../../runtime/aws/functions/environment.ts'
import type { LookEvent, Looked } from '../../runtime/aws/functions/look.ts'
import { readSettings } from '../../runtime/aws/functions/settings.ts'
import { isTaken, takenOf } from '../../runtime/aws/functions/shard-map.ts'
import { loadHeads, somethingNew } from '../../runtime/aws/functions/something-new.ts'
import { stageStreams } from '../../runtime/aws/names.ts'
import { awsPorts } from '../../runtime/aws/ports.ts'
import { formatPosition } from '../../runtime/aws/position.ts'
import { type Decision, decisions } from '../../runtime/checkpoint/decision.ts'
import { followLayouts } from '../../runtime/checkpoint/layouts.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Ports, StreamRecord, Streams } from '../../runtime/ports.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import type { Topology } from '../../runtime/stage/topology.ts'
import { NO_OBJECTS, visibleRows } from '../functions/embedded-world.ts'
import { NEVER_SPLIT } from '../functions/never-split.ts'
import { eventOf, shardId } from '../functions/world.ts'
import { clientOptions } from './resources.ts'

/** A pipeline that was deployed, from outside: through its streams, its state machine and its bucket. */
export interface Deployed {
  readonly lambda: LambdaClient
  /** Log, state and objects of the pipeline. */
  readonly state: Pick<Ports, 'log' | 'store' | 'blobs'>
  /** Streams as the service names them. */
  readonly streams: Streams
  /** By stage id. */
  readonly functions: Readonly<Record<string, { readonly function: string; readonly stream: string }>>
  topology(): Promise<Topology>
  /**
   * Puts records into a shard of the source's stream, in their order. Shards are numbered as Kinesis does, also those that others were split or merged into.
   * Calls that are throttled are made again; gives their number.
   */
  feed(shard: number, records: readonly string[]): Promise<number>
  /** Until all that was fed is committed by the source's stage. */
  consumed(): Promise<void>
  /** Until all stages have committed all that lies in their streams. */
  drained(): Promise<void>
  /** Invokes a stage's function with records of one of its shards, as its mapping does. */
  deliver(stage: string, shard: number, records: readonly StreamRecord[]): Promise<Delivered>
  /** Where a subtask stands in its stream. */
  position(stage: string, shard: number): Promise<string | undefined>
  /** One execution of the controller, to its end. */
  execute(input?: object): Promise<Execution>
  /** What the schedule does, since LocalStack has no scheduler that acts: `at` is when. */
  look(at: string, options?: { readonly chain?: boolean }): Promise<Looked['looked']>
  /** Executions so far. */
  executions(): Promise<number>
  /** Executions that have not ended. */
  running(): Promise<number>
  /** Until checkpoints have nothing left to save: then all that was fed is in the results. */
  settle(): Promise<void>
  decisions(): Promise<{ checkpoint: number; decision: Decision }[]>
  /** What readers of a sink see. */
  rows(sink: string): Promise<any[]>
  /** Records that were given up, as the pipeline's own bucket keeps them. */
  deadLetters(): Promise<any[]>
  close(): void
}

export interface Execution {
  readonly arn: string
  readonly status: string
  readonly cause: string | undefined
}

/** How far a delivery got: as many records as `done`; killed: nobody knows. */
export type Delivered = { readonly done: number } | 'killed'

export interface DeployedOptions {
  readonly app: Pipeline
  /** Of the stack. */
  readonly outputs: Readonly<Record<string, string>>
  /** The construct's id. */
  readonly id: string
  readonly sourceStream: string
  readonly results: { readonly bucket: string; readonly prefix: string }
  /** For anything that is waited for. Default: 4 minutes. */
  readonly waitMsMax?: number
}

const PUT_RECORDS_MAX = 500
const FRAMES_MAX = 100
const POLL_MS = 200
const WAIT_MS_MAX = 240_000

export async function openDeployed(options: DeployedOptions): Promise<Deployed> {
  const { app, outputs, id, sourceStream, results, waitMsMax = WAIT_MS_MAX } = options
  const seen = <T>(what: string, look: () => Promise<T | undefined>) => until(what, look, waitMsMax)
  const lambda = new LambdaClient(clientOptions)
  const sfn = new SFNClient(clientOptions)
  const clients = openClients(clientOptions)
  const functions: Deployed['functions'] = JSON.parse(outputs[`${id}Stages`]!)
  const FunctionName = Object.values(functions)[0]!.function
  const { Environment } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }))
  const settings = readSettings(Environment!.Variables!)
  const here = { ...settings, stage: undefined }
  const portsOn = (bucket: string, streams: (stream: string) => string) =>
    awsPorts({ ...clientOptions, streams, tables: here.tables, bucket, prefix: '' })
  const sourceStreams = {
    listShards: async () => [],
    isReadToEnd: async () => false,
    read: () => assert.fail('nothing is restored from outside'),
  }
  const environment = openEnvironment(app, here, () => ({
    ports: portsOn(here.bucket, stageStreams(here.prefix)),
    objects: NO_OBJECTS,
    sinks: {},
    sourceStreams,
    stageStreams: NEVER_SPLIT,
  }))
  const { log } = environment.ports
  const outside = portsOn(results.bucket, stream => stream)
  const stateMachineArn = outputs[`${id}Checkpoints`]!
  const fed: (string | undefined)[] = []

  async function existing() {
    const { topology } = await seen('the run', () => environment.existingRun())
    await followLayouts(log, topology)
    return topology
  }

  async function decided() {
    const run = await environment.existingRun()
    return run === undefined ? [] : decisions(log, run.topology.run)
  }

  async function execute(input: object = {}): Promise<Execution> {
    const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) }))
    return seen('the end of the checkpoint', async () => {
      const { status, cause } = await sfn.send(new DescribeExecutionCommand({ executionArn }))
      return status === 'RUNNING' ? undefined : { arn: executionArn!, status: status!, cause }
    })
  }

  async function position(stage: string, shard: number) {
    const topology = await existing()
    const at = topology.stages.find(s => s.stage.id === stage)!
    const { head } = await loadHead(log, topology.log(at.stage.index, shard), Number.POSITIVE_INFINITY)
    const { source, position } = head.fields
    return String(source?.sequenceNumber ?? position.seq) || undefined
  }

  async function deliver(stage: string, shard: number, records: readonly StreamRecord[]): Promise<Delivered> {
    const FunctionName = functions[stage]!.function
    const Payload = JSON.stringify(eventOf(records, shardId(shard)))
    const { FunctionError, Payload: answer } = await lambda.send(new InvokeCommand({ FunctionName, Payload }))
    const said = JSON.parse(Buffer.from(answer!).toString())
    if (FunctionError !== undefined) {
      if (/exited/.test(said.errorMessage)) return 'killed'
      throw new Error(`${FunctionName} failed: ${said.errorMessage}`)
    }
    const failed = said.batchItemFailures[0]?.itemIdentifier
    return { done: failed === undefined ? records.length : records.findIndex(r => BigInt(r.seq) === BigInt(failed)) }
  }

  /** Up to where a shard of the source is taken, by whichever subtask. */
  async function taken(shard: number): Promise<string> {
    const topology = await existing()
    const { stages, splits } = topology
    const { stage, parallelism } = stages.find(s => s.stage.source !== undefined)!
    const names = splits[stage.source!.source!.name]!
    const positions = Array.from({ length: parallelism }, async (_, i) => {
      const { head } = await loadHead(log, topology.log(stage.index, i), Number.POSITIVE_INFINITY)
      return takenOf(head.fields.source, names[i]!, shardId(shard))
    })
    return (await Promise.all(positions)).sort().at(-1)!
  }

  async function consumed() {
    for (const [shard, last] of fed.entries())
      if (last !== undefined)
        await seen(`the source's shard ${shard}`, async () => isTaken(last, await taken(shard)) || undefined)
  }

  return {
    lambda,
    state: environment.ports,
    streams: outside.streams,
    functions,
    topology: existing,
    async feed(shard, records) {
      const { Shards } = await clients.kinesis.send(new ListShardsCommand({ StreamName: sourceStream }))
      const ExplicitHashKey = Shards!.find(({ ShardId }) => ShardId === shardId(shard))!.HashKeyRange!.StartingHashKey!
      let throttled = 0
      for (let i = 0; i < records.length; ) {
        const Records = records
          .slice(i, i + PUT_RECORDS_MAX)
          .map(record => ({ Data: Buffer.from(record), PartitionKey: 'any', ExplicitHashKey }))
        const put = await clients.kinesis.send(new PutRecordsCommand({ StreamName: sourceStream, Records }))
        const taken = put.Records!.filter(record => record.ErrorCode === undefined).length
        if (taken === 0) throttled++
        else if (taken < Records.length) throw new Error(`${Records.length - taken} records were not taken, others were`)
        else {
          fed[shard] = formatPosition(put.Records!.at(-1)!.SequenceNumber!)
          i += PUT_RECORDS_MAX
        }
      }
      return throttled
    },
    consumed,
    position,
    deliver,
    async drained() {
      await consumed()
      // A stage that has drained is fed by those before it only, and they have.
      for (const { stage, parallelism } of (await existing()).stages.filter(s => s.stage.source === undefined))
        for (let shard = 0; shard < parallelism; shard++)
          await seen(`shard ${shard} of ${stage.id}`, async () => {
            const { stream } = functions[stage.id]!
            const behind = await outside.streams.poll(stream, shard, await position(stage.id, shard), FRAMES_MAX)
            if (behind.length === 0) return true
            // What is left may be frames of attempts that lost, or died: no commit is made for these, but the function knows.
            if (behind.length === FRAMES_MAX) return undefined
            const delivered = await deliver(stage.id, shard, behind)
            return (delivered !== 'killed' && delivered.done === behind.length) || undefined
          })
    },
    execute,
    async look(at, { chain = false } = {}) {
      const { checkpoint: FunctionName } = JSON.parse(outputs[`${id}Functions`]!)
      const look: LookEvent = { step: 'look', machine: stateMachineArn, chain, at }
      const { FunctionError, Payload } = await lambda.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(look) }))
      const answer = JSON.parse(Buffer.from(Payload!).toString())
      if (FunctionError !== undefined) throw new Error(`${FunctionName} failed: ${answer.errorMessage}`)
      return (answer as Looked).looked
    },
    async executions() {
      const { executions } = await sfn.send(new ListExecutionsCommand({ stateMachineArn }))
      return executions!.length
    },
    async running() {
      const { executions } = await sfn.send(new ListExecutionsCommand({ stateMachineArn, statusFilter: 'RUNNING' }))
      return executions!.length
    },
    async settle() {
      await consumed()
      const topology = await existing()
      await seen('a checkpoint with nothing behind it', async () => {
        const known = openSeen()
        if (!(await somethingNew(await loadHeads(topology, log, known), (await decided()).at(-1), log, known))) return true
        await execute()
        return undefined
      })
    },
    decisions: decided,
    async rows(sink) {
      return visibleRows(outside.blobs, `${results.prefix}${sink}/`)
    },
    deadLetters: () => visibleRows(environment.ports.blobs, 'dead-letters/'),
    close() {
      lambda.destroy()
      sfn.destroy()
      clients.close()
    },
  }
}

/** What `look` sees, as soon as it sees something. */
export async function until<T>(what: string, look: () => Promise<T | undefined>, waitMsMax = WAIT_MS_MAX): Promise<T> {
  const end = Date.now() + waitMsMax
  for (;;) {
    const seen = await look()
    if (seen !== undefined) return seen
    if (Date.now() > end) throw new Error(`waited ${waitMsMax} ms for ${what}`)
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
}
