import { z } from 'zod'
import type { SourceStream } from '../../runtime/api/source.ts'
import type { KeyedStream, OutputTag, Pipeline, Stream } from '../../runtime/index.ts'
import type { TestPipeline } from '../../runtime/testing/index.ts'

export { parseDuration } from '../../runtime/api/duration.ts'
export { z }

/*
 * What the docstrings' examples take for granted: records, streams and functions that the text around an example would introduce. Nothing
 * of it exists; examples.test.ts imports from here what an example uses and does not declare.
 */

export const Event = z.object({
  event_id: z.string(),
  event_type: z.enum(['search', 'click', 'view']),
  user_id: z.string(),
  item_id: z.string(),
  timestamp: z.number(),
  amount: z.number(),
  marker: z.boolean(),
})
export type Event = z.infer<typeof Event>
export const Click = Event
export type Click = Event
export const Tick = z.object({ at: z.number() })

export type Search = { readonly query: string; readonly timestamp: number }
export type Sale = { readonly shop: string; readonly price: number }
export type Alert = { readonly user: string; readonly urgent?: boolean }
export type Cart = { readonly items: readonly string[] }
export type Order = { readonly id: string; readonly order_id: string; readonly lines: readonly string[]; readonly at: number }
export type Payment = { readonly order_id: string; readonly at: number }
export type Rule = { readonly id: string; applies(user: User): boolean }
export type User = { readonly user_id: string; readonly window_end: number }
type Candidates = { readonly user_id: string; readonly items: readonly string[] }

export declare const app: Pipeline
export declare const events: SourceStream<Event>
export declare const clicks: Stream<Click>
export declare const views: Stream<Click>
export declare const searches: Stream<Search>
export declare const purchases: Stream<{ readonly item_id: string }>
export declare const sales: Stream<Sale>
export declare const bids: Stream<{ readonly auction: number; readonly bidder: number; readonly price: number }>
export declare const auctions: Stream<{ readonly id: number; readonly seller: number }>
export declare const persons: Stream<{ readonly id: number; readonly name: string }>
export declare const alerts: Stream<Alert>
export declare const orders: Stream<Order>
export declare const payments: Stream<Payment>
export declare const rules: Stream<Rule>
export declare const trending: Stream<{ readonly item_id: string }>
export declare const rankings: Stream<User>
export declare const counts: Stream<{ readonly item_id: string; readonly views: number; readonly window_end: number }>
export declare const t: TestPipeline
/** Under a key already. */
export declare const users: KeyedStream<User, string>
export declare const candidates: KeyedStream<Candidates, string>
export declare const ann: KeyedStream<Candidates, string>
export declare const popular: KeyedStream<Candidates, string>
export declare const stream: KeyedStream<Click, string>

export declare const late: OutputTag<Event>
export declare const lateEvents: OutputTag<Event>
export declare const tower: string
export declare const url: string
export declare const invocationEnd: number
export declare function toVisit(event: Event): { readonly user: string }
export declare function merge(a: Candidates, b: Candidates): Candidates
export declare function fetchFeatures(candidates: readonly Candidates[]): Promise<number[]>
export declare function onFirst(order: Order): Order[]
export declare function onSecond(payment: Payment): Order[]
export declare function onRecord(user: User): User[]
export declare function onBroadcast(item: { readonly item_id: string }): void
