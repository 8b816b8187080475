import { CloudWatchClient, GetMetricStatisticsCommand } from '@aws-sdk/client-cloudwatch'
import { clientOptions } from '../resources.ts'

const PERIOD_S = 86_400

/** Invocations of functions that ended in an error since `since` (epoch ms): killed, out of time, or thrown. Each of a mapping is delivered again. */
export async function failedInvocations(functions: readonly string[], since: number): Promise<number> {
  const client = new CloudWatchClient(clientOptions)
  const counts = await Promise.all(
    functions.map(async Value => {
      const { Datapoints = [] } = await client.send(
        new GetMetricStatisticsCommand({
          Namespace: 'AWS/Lambda',
          MetricName: 'Errors',
          Dimensions: [{ Name: 'FunctionName', Value }],
          Statistics: ['Sum'],
          StartTime: new Date(since),
          EndTime: new Date(since + PERIOD_S * 1000),
          Period: PERIOD_S,
        }),
      )
      return Datapoints.reduce((sum, point) => sum + point.Sum!, 0)
    }),
  )
  client.destroy()
  return counts.reduce((a, b) => a + b, 0)
}
