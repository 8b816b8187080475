import { AsyncCallError, type Outcome } from './async-attempts.ts'
import type { AsyncFailure, AsyncOptions } from './async-options.ts'
import { type AsyncItem, type AsyncOrder, asyncOrder, type Emit } from './async-order.ts'
import { Operator } from './operator.ts'
import { userError } from './user-code.ts'

/**
 * What mapAsync and mapAsyncBatch share. Calls end whenever they do, but results leave only while the stage is feeding or draining this
 * operator: it may be in the middle of another one's work otherwise.
 */
export abstract class AsyncOperator<T, R> extends Operator implements Emit {
  protected readonly options: AsyncOptions<T, R>
  /** Aborted when nobody waits for the calls in flight any more. */
  protected cancelled = new AbortController()
  private readonly order: AsyncOrder
  private inFlight = new Set<Promise<void>>()
  private failure: AsyncCallError | undefined
  private wake: (() => void) | undefined

  constructor(options: AsyncOptions<T, R>) {
    super()
    this.options = options
    this.order = asyncOrder(options.order)
  }

  /** A record that waits for its call. */
  protected abstract enqueue(item: AsyncItem): void
  /** Starts calls, as far as the capacity goes. `drain`: no more input comes before what is there has been sent. */
  protected abstract startCalls(drain: boolean): void
  protected abstract forget(): void

  record(value: T, timestamp: number, key: unknown): void {
    const item: AsyncItem = { value, timestamp, key, outcome: undefined }
    this.order.add(item)
    this.enqueue(item)
    this.startCalls(false)
    this.order.flush(this)
  }

  override watermark(timestamp: number): void {
    if (this.order.empty) {
      this.ctx.forwardWatermark(timestamp)
      return
    }
    this.order.watermark(timestamp)
    this.order.flush(this)
  }

  override get pending(): boolean {
    return !this.order.empty || this.failure !== undefined
  }

  override async drain(): Promise<void> {
    while (this.pending) {
      this.startCalls(true)
      if (this.failure !== undefined) {
        const { failure } = this
        this.cancel()
        throw failure
      }
      this.order.flush(this)
      if (!this.pending) return
      await new Promise<void>(resolve => {
        this.wake = resolve
      })
      this.wake = undefined
    }
  }

  override async close(): Promise<void> {
    const inFlight = [...this.inFlight]
    this.cancel()
    await Promise.all(inFlight)
  }

  /** @internal A record's turn to leave. */
  emitItem(item: AsyncItem): void {
    const outcome = item.outcome!
    if (outcome.ok) {
      this.ctx.output.record(outcome.result, item.timestamp, item.key)
      return
    }
    const { onFailure } = this.options
    if (onFailure === 'drop' || onFailure === 'fail') return // a failure that fails the batch is thrown by drain
    if (typeof onFailure === 'function') {
      this.ctx.output.record(this.replace(onFailure, outcome.error, item), item.timestamp, item.key)
      return
    }
    const failure: AsyncFailure<T> = { value: item.value, error: plainError(outcome.error) }
    this.ctx.side(onFailure.sideOutput.id).record(failure, item.timestamp, item.key)
  }

  /** @internal A watermark's turn to leave. */
  emitWatermark(timestamp: number): void {
    this.ctx.forwardWatermark(timestamp)
  }

  protected get freeCalls(): number {
    return this.options.capacity - this.inFlight.size
  }

  /** One call for these records; its outcome gives each of them its own. */
  protected call(items: readonly AsyncItem[], call: Promise<Outcome<readonly R[]> | undefined>): void {
    const { signal } = this.cancelled
    const running = call.then(outcome => {
      this.inFlight.delete(running)
      if (outcome === undefined || signal.aborted) return
      for (let i = 0; i < items.length; i++) {
        items[i]!.outcome = outcome.ok ? { ok: true, result: outcome.result[i] } : outcome
        this.order.settled(items[i]!)
      }
      if (!outcome.ok && this.options.onFailure === 'fail') {
        this.failure ??= new AsyncCallError(this.ctx.operatorId, outcome.attempts, outcome.error)
      }
      this.startCalls(false)
      this.wake?.()
    })
    this.inFlight.add(running)
  }

  /** Drops all that waits or runs; the operator is as good as new. */
  private cancel(): void {
    this.cancelled.abort()
    this.cancelled = new AbortController()
    this.inFlight = new Set()
    this.failure = undefined
    this.order.clear()
    this.forget()
    this.wake?.()
  }

  private replace(onFailure: (error: unknown, value: T) => R, error: unknown, item: AsyncItem): R {
    try {
      return onFailure(error, item.value)
    } catch (thrown) {
      throw userError(this.ctx, item.timestamp, 'onFailure', thrown)
    }
  }
}

function plainError(error: unknown): { name: string; message: string } {
  if (error instanceof Error) return { name: error.name, message: error.message }
  return { name: 'Error', message: String(error) }
}
