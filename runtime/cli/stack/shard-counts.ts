import { caller } from '../../aws/call.ts'
import { meters } from '../../aws/meter.ts'
import { systemClock, systemRandom } from '../../embedded/clock.ts'
import { once, withRegion } from './sdk.ts'

/** What rescaling asks of Kinesis. */
export interface ShardCounts {
  /** How many shards of a stream are open, and whether it is being changed. */
  of(stream: string): Promise<{ readonly open: number; readonly isActive: boolean }>
  /** To so many even ones: at most twice as many as there are, and at least half of them. */
  update(stream: string, shards: number): Promise<void>
}

export function kinesisShardCounts(): ShardCounts {
  const call = caller({ clock: systemClock, random: systemRandom, meters: meters() })
  const kinesis = once(async () => {
    const sdk = await import('@aws-sdk/client-kinesis')
    return { sdk, client: new sdk.KinesisClient({ maxAttempts: 1 }) }
  })
  const ask = <T>(operation: string, stream: string, send: (options: { abortSignal: AbortSignal }) => Promise<T>) =>
    withRegion(() => call({ operation, resource: `stream ${stream}` }, ({ signal }) => send({ abortSignal: signal })))
  return {
    async of(stream) {
      const { sdk, client } = await kinesis()
      const command = new sdk.DescribeStreamSummaryCommand({ StreamName: stream })
      const { StreamDescriptionSummary: found } = await ask('kinesis.DescribeStreamSummary', stream, o => client.send(command, o))
      return { open: found!.OpenShardCount!, isActive: found!.StreamStatus === 'ACTIVE' }
    },
    async update(stream, shards) {
      const { sdk, client } = await kinesis()
      const command = new sdk.UpdateShardCountCommand({
        StreamName: stream,
        TargetShardCount: shards,
        ScalingType: 'UNIFORM_SCALING',
      })
      await ask('kinesis.UpdateShardCount', stream, o => client.send(command, o))
    },
  }
}
