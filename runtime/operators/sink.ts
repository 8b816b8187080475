import type { SinkWriter } from '../connectors/sink.ts'
import { userKey } from '../graph/key.ts'
import { Operator } from './operator.ts'

/** Hands records to a sink's writer; the stage opens the writer, and flushes it with each commit. */
export class SinkOperator extends Operator {
  writer!: SinkWriter<unknown>
  /** Written since the last commit. */
  written = 0
  /** Written since this instance was opened. */
  total = 0

  record(value: unknown, timestamp: number, key: any): void {
    this.writer.write(value, { timestamp, key: key === undefined ? undefined : userKey(key) })
    this.written++
    this.total++
  }

  override async close(): Promise<void> {
    await this.writer?.close()
  }
}
