import type { BatchResponse } from '../../runtime/aws/functions/event.ts'
import type { KafkaEvent, KafkaRecord } from '../../runtime/aws/functions/kafka-event.ts'
import { context } from './world.ts'

/** A topic of Kafka, as Lambda reads it: its offsets have gaps, as after a compaction or with transactions. */
export type Topic = readonly (readonly KafkaRecord[])[]

export function topicOf(topic: string, input: readonly (readonly (string | null)[])[]): Topic {
  return input.map((values, partition) =>
    values.map((value, i) => ({
      topic,
      partition,
      offset: 3 * i + (i % 2) + (i > 20 ? 1_000 : 0),
      ...(value !== null && { value: Buffer.from(value).toString('base64') }),
    })),
  )
}

/** The event of these partitions' next `limit` records each, behind the offsets that `from` gives. */
export function kafkaEvent(topic: Topic, limit: number, from: readonly number[] = []): KafkaEvent {
  const batches = topic.map((records, i) => records.filter(r => r.offset >= (from[i] ?? 0)).slice(0, limit))
  return { records: Object.fromEntries(batches.flatMap(b => (b.length === 0 ? [] : [[`${b[0]!.topic}-${b[0]!.partition}`, b]]))) }
}

type Handler = (event: KafkaEvent, context: { getRemainingTimeInMillis(): number }) => Promise<BatchResponse>

/** An event source mapping: what an invocation did not fail on is not delivered again. */
export function kafkaMapping(topic: Topic, handler: Handler) {
  const from = topic.map(() => 0)
  return {
    /** One batch. False: there was nothing. */
    async step(limit = 50): Promise<boolean> {
      const event = kafkaEvent(topic, limit, from)
      const batches = Object.values(event.records)
      if (batches.length === 0) return false
      await handler(JSON.parse(JSON.stringify(event)), context())
      for (const batch of batches) from[batch[0]!.partition] = batch.at(-1)!.offset + 1
      return true
    },
  }
}
