import type { SourceBatch, SourcePosition } from '../connectors/source.ts'
import { jsonOf } from './check.ts'
import { TestKitError } from './error.ts'

/** What comes into a split: a raw record, or a watermark that is set by hand. */
type Item = { readonly raw: string | Uint8Array } | { readonly watermark: number }

/** One split of a source, whose input is what the test has sent. */
export interface TestSplit {
  send(records: readonly unknown[]): void
  watermark(time: number): void
  end(): void
  readonly ended: boolean
  /** Whether something lies behind a position, or the end that nobody has seen yet. */
  hasMore(position: SourcePosition | undefined): boolean
  read(position: SourcePosition | undefined, limit: number): SourceBatch
}

/** `first`: the position that the input begins at: that of the snapshot which the run comes from. */
export function openSplit(name: string, first = 0): TestSplit {
  const items: Item[] = []
  let ended = false

  const indexOf = (position: SourcePosition | undefined) => Number(position?.at ?? first) - first

  return {
    send(records) {
      if (ended) throw new TestKitError(`the input of ${name} has ended: nothing can be sent any more`)
      items.push(...records.map(record => ({ raw: rawOf(record, name) })))
    },
    watermark(time) {
      if (ended) throw new TestKitError(`the input of ${name} has ended, and all watermarks with it`)
      items.push({ watermark: time })
    },
    end() {
      ended = true
    },
    get ended() {
      return ended
    },
    hasMore: position => ended || indexOf(position) < items.length,
    read(position, limit) {
      const from = indexOf(position)
      const batch: (string | Uint8Array)[] = []
      for (let i = from; i < items.length && batch.length < limit; i++) {
        const item = items[i]!
        if ('watermark' in item) break
        batch.push(item.raw)
      }
      const here = items[from]
      const watermark = here !== undefined && 'watermark' in here ? here.watermark : undefined
      const next = from + (watermark === undefined ? batch.length : 1)
      return {
        records: batch,
        after: index => ({ at: first + from + index + 1 }),
        next: { at: first + next },
        done: ended && next >= items.length,
        place: index => ({ record: first + from + index + 1 }),
        ...(watermark !== undefined && { watermark }),
      }
    },
  }
}

/** As it would lie in a stream: text and bytes as they are, whatever else as JSON. */
function rawOf(record: unknown, name: string): string | Uint8Array {
  if (typeof record === 'string' || record instanceof Uint8Array) return record
  const text = jsonOf(record, name)
  if (text !== undefined) return text
  throw new TestKitError(`${name} was sent ${String(record)}, which is no JSON: send values, or lines as text`)
}
