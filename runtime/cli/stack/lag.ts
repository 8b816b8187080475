import type { StackStage } from './stack.ts'

/** How far a stage is behind what it reads: of Kafka in records, as Lambda measures it. */
export type Lag = { readonly ms: number } | { readonly records: number }

export interface LagMetric {
  readonly namespace: string
  readonly name: string
  readonly dimension: readonly [name: string, value: string]
  lag(value: number): Lag
}

/** The metric of AWS's own that has it. */
export function lagMetric({ function: name, reads, queue }: StackStage): LagMetric {
  if (reads === 's3')
    return {
      namespace: 'AWS/SQS',
      name: 'ApproximateAgeOfOldestMessage',
      dimension: ['QueueName', queue!.slice(queue!.lastIndexOf('/') + 1)],
      lag: seconds => ({ ms: seconds * 1000 }),
    }
  const dimension = ['FunctionName', name] as const
  if (reads === 'kafka') return { namespace: 'AWS/Lambda', name: 'OffsetLag', dimension, lag: records => ({ records }) }
  return { namespace: 'AWS/Lambda', name: 'IteratorAge', dimension, lag: ms => ({ ms }) }
}
