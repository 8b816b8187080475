import { MillraceError } from '../errors.ts'
import { OVER } from '../over.ts'
import { attempts } from './async-attempts.ts'
import { AsyncOperator } from './async-operator.ts'
import type { AsyncCall, AsyncOptions } from './async-options.ts'
import type { AsyncItem } from './async-order.ts'

export interface MapAsyncBatchOptions<T, R> extends AsyncOptions<T, R> {
  /** Gives one result for each value, in their order. */
  readonly fn: (values: T[], call: AsyncCall) => Promise<R[]>
  /** Values a call, at most. */
  readonly size: number
  /** How long a value waits for others to fill its call. None waits longer than until the next commit. */
  readonly waitMs: number
}

/** A batch call gave something else than one result for each value. Calling it again would not help. */
export class BatchResultError extends MillraceError {
  override readonly name = 'BatchResultError'
}

/** One call for up to `size` records; `capacity` counts calls. Retries and failures are those of a whole call. */
export class MapAsyncBatchOperator<T, R> extends AsyncOperator<T, R> {
  private readonly batch: MapAsyncBatchOptions<T, R>
  private waiting: AsyncItem[] = []
  /** Of the records that wait, so many may go in a call that is not full. */
  private overdue = 0
  private timer: AbortController | undefined

  constructor(options: MapAsyncBatchOptions<T, R>) {
    super(options)
    this.batch = options
  }

  protected enqueue(item: AsyncItem): void {
    this.waiting.push(item)
  }

  protected startCalls(drain: boolean): void {
    if (drain) this.overdue = this.waiting.length
    while (this.freeCalls > 0 && (this.waiting.length >= this.batch.size || this.overdue > 0)) {
      const items = this.waiting.splice(0, this.batch.size)
      this.overdue = Math.max(0, this.overdue - items.length)
      this.stopTimer()
      this.start(items)
    }
    if (this.waiting.length > this.overdue && this.timer === undefined) this.startTimer()
  }

  protected forget(): void {
    this.waiting = []
    this.overdue = 0
    this.stopTimer()
  }

  private start(items: readonly AsyncItem[]): void {
    const fn = async (call: AsyncCall) => {
      const values = items.map(item => item.value as T)
      return checkResults(this.ctx.operatorId, items.length, await this.batch.fn(values, call))
    }
    this.call(items, attempts(fn, this.options, this.ctx, this.cancelled.signal))
  }

  private startTimer(): void {
    const timer = new AbortController()
    this.timer = timer
    void this.ctx.sleep(this.batch.waitMs, timer.signal).then(() => {
      if (timer.signal.aborted) return
      this.timer = undefined
      this.overdue = this.waiting.length
      this.startCalls(false)
    })
  }

  private stopTimer(): void {
    this.timer?.abort(OVER)
    this.timer = undefined
  }
}

function checkResults<R>(operatorId: string, expected: number, results: R[]): R[] {
  if (Array.isArray(results) && results.length === expected) return results
  const given = Array.isArray(results) ? `${results.length} results` : typeof results
  throw new BatchResultError(
    `operator '${operatorId}': the function of mapAsyncBatch was given ${expected} values and returned ${given}: return one result for each value, in order`,
  )
}
