// As a namespace: bundlers leave out what is not used of it, which `{ z }` keeps them from.
import * as z from 'zod'

/** Epoch ms, or an ISO 8601 instant, which becomes epoch ms. */
const timestamp = z.union([z.number().int().nonnegative(), z.iso.datetime({ offset: true }).transform(text => Date.parse(text))])

/**
 * One line of the input. Fields it does not know are left out. A search may name no item (then `item_id` is `''`);
 * a click or a view without one is refused, and goes to the dead letters.
 */
export const ShopEvent = z
  .object({
    user_id: z.string().min(1),
    item_id: z.string().default(''),
    event_type: z.enum(['search', 'click', 'view']),
    timestamp,
    event_id: z.string().min(1).optional(),
    query: z.string().optional(),
  })
  .refine(event => event.item_id !== '' || event.event_type === 'search', {
    path: ['item_id'],
    error: 'a click or a view names an item',
  })

/** A search, click or view by one user, `timestamp` in epoch ms. */
export type ShopEvent = z.output<typeof ShopEvent>
