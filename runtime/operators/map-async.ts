import { userKey } from '../graph/key.ts'
import { attempts } from './async-attempts.ts'
import { AsyncOperator } from './async-operator.ts'
import type { AsyncOptions, KeyedAsyncCall } from './async-options.ts'
import type { AsyncItem } from './async-order.ts'

export interface MapAsyncOptions<T, R> extends AsyncOptions<T, R> {
  readonly fn: (value: T, call: KeyedAsyncCall) => Promise<R>
}

/** One call per record, up to `capacity` of them at a time. */
export class MapAsyncOperator<T, R> extends AsyncOperator<T, R> {
  private readonly fn: MapAsyncOptions<T, R>['fn']
  private waiting: AsyncItem[] = []
  private next = 0

  constructor(options: MapAsyncOptions<T, R>) {
    super(options)
    this.fn = options.fn
  }

  protected enqueue(item: AsyncItem): void {
    this.waiting.push(item)
  }

  protected startCalls(): void {
    while (this.freeCalls > 0 && this.next < this.waiting.length) this.start(this.waiting[this.next++]!)
    if (this.next === this.waiting.length) this.forget()
  }

  protected forget(): void {
    this.waiting = []
    this.next = 0
  }

  private start(item: AsyncItem): void {
    const key = item.key === undefined ? undefined : userKey(item.key)
    const fn = async (call: { signal: AbortSignal; attempt: number }) => [await this.fn(item.value, { ...call, key })]
    this.call([item], attempts(fn, this.options, this.ctx, this.cancelled.signal))
  }
}
