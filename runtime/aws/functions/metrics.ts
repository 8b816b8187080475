import { Metrics } from '@aws-lambda-powertools/metrics'
import { type MetricName, NAMESPACE, UNITS } from './metric-names.ts'

/** What one invocation has to tell: gathered, and written as one line of its log in the embedded metric format. */
export interface Recorder {
  /** So many more of it. Nothing is told of what there was none of. */
  count(name: MetricName, more: number): void
  /** One value among others, of which CloudWatch has the statistics. */
  measure(name: MetricName, value: number): void
  /** The last value of each `of` counts. */
  gauge(name: MetricName, of: string, value: number): void
  /** What an invocation that was cut off has left goes. */
  clear(): void
  publish(): void
}

/** Of functions that are not to tell anything. */
export const SILENT: Recorder = { count() {}, measure() {}, gauge() {}, clear() {}, publish() {} }

/**
 * By pipeline (`service`: the stack's prefix) and stage, and no further: a metric of each shard would cost more than the shard's functions.
 * `write`: a line of the log; not by console.log, before whose lines Lambda puts words of its own.
 */
export function openRecorder(
  prefix: string,
  stage: string | undefined,
  write: (line: string) => void = line => process.stdout.write(`${line}\n`),
): Recorder {
  const defaultDimensions: Record<string, string> = stage === undefined ? {} : { stage }
  const metrics = new Metrics({ namespace: NAMESPACE, serviceName: prefix, defaultDimensions })
  const counts = new Map<MetricName, number>()
  const values: [MetricName, number][] = []
  const gauges = new Map<string, [MetricName, number]>()
  const clear = () => {
    counts.clear()
    values.length = 0
    gauges.clear()
  }
  return {
    count(name, more) {
      if (more > 0) counts.set(name, (counts.get(name) ?? 0) + more)
    },
    measure(name, value) {
      values.push([name, value])
    },
    gauge(name, of, value) {
      gauges.set(`${name} ${of}`, [name, value])
    },
    clear,
    publish() {
      for (const [name, value] of [...counts, ...values, ...gauges.values()]) metrics.addMetric(name, UNITS[name], value)
      clear()
      if (!metrics.hasStoredMetrics()) return
      write(JSON.stringify(metrics.serializeMetrics()))
      metrics.clearMetrics()
    },
  }
}
