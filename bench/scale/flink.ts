import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { GNU_TIME, peakMbIn } from '../flink.ts'
import { runFlinkJob } from '../flink-job.ts'
import { CHECKPOINT_MS, type PointMeasured, STRIDE } from './point.ts'

const SOURCE = join(import.meta.dirname, 'flink/Scale.java')
/** As bench.sh gives it. RocksDB has a gigabyte besides. */
const HEAP = '4g'

export type FlinkBackend = 'hashmap' | 'rocksdb'

/** What these libraries have: build.sh leaves RocksDB's out. */
export function flinkBackends(lib: string): readonly FlinkBackend[] {
  const rocksdb = readdirSync(lib).some(name => name.startsWith('flink-statebackend-rocksdb'))
  return rocksdb ? ['hashmap', 'rocksdb'] : ['hashmap']
}

export interface FlinkPoint {
  readonly keys: number
  readonly subtasks: number
  readonly events: number
  readonly backend: FlinkBackend
}

/** One point of the curves by Flink. @throws Error when it fails */
export async function runFlinkPoint(lib: string, { keys, subtasks, events, backend }: FlinkPoint): Promise<PointMeasured> {
  const through = existsSync(GNU_TIME) ? [GNU_TIME, '-f', 'peak_kb=%M'] : []
  const args = [keys, subtasks, events, STRIDE, CHECKPOINT_MS, backend]
  const output = await runFlinkJob({ source: SOURCE, lib, heap: HEAP, args }, through)
  const line = output.split('\n').find(text => text.startsWith('{"events"'))
  if (line === undefined) throw new Error(`Flink's job with ${keys} keys printed no result:\n${output}`)
  return { ...JSON.parse(line), peakMb: peakMbIn(output) }
}
