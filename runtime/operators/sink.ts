import type { SinkWriter } from '../connectors/sink.ts'
import { type KeyPart, userKey } from '../graph/key.ts'
import { Operator } from './operator.ts'

/** What goes with a value. The key is made when it is asked for: most sinks never do, and a tuple has to be parsed. */
class SinkRecord {
  readonly timestamp: number
  private readonly canonical: KeyPart | undefined

  constructor(timestamp: number, canonical: KeyPart | undefined) {
    this.timestamp = timestamp
    this.canonical = canonical
  }

  get key(): unknown {
    return this.canonical === undefined ? undefined : userKey(this.canonical)
  }
}

/** Hands records to a sink's writer; the stage opens the writer, and flushes it with each commit. */
export class SinkOperator extends Operator {
  writer!: SinkWriter<unknown>
  /** Written since the last commit. */
  written = 0
  /** Written since this instance was opened. */
  total = 0

  record(value: unknown, timestamp: number, key: any): void {
    this.writer.write(value, new SinkRecord(timestamp, key))
    this.written++
    this.total++
  }

  override async close(): Promise<void> {
    await this.writer?.close()
  }
}
