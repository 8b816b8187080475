import fc from 'fast-check'
import type { ShopEvent } from '../../examples/recommendations/events.ts'

/** Events with few users, items and times, so that ties and repeats are common. */
export const shopEvent: fc.Arbitrary<ShopEvent> = fc
  .record({
    user_id: fc.constantFrom('a', 'b', 'c'),
    item_id: fc.nat(30).map(n => `i${n}`),
    event_type: fc.constantFrom('search' as const, 'click' as const, 'view' as const),
    timestamp: fc.nat(50).map(n => 1_000_000 + n * 1_000),
    query: fc.constantFrom(undefined, 'lamps', 'red shoes'),
  })
  .map(event => ({ ...event, query: event.event_type === 'search' ? event.query : undefined }))
