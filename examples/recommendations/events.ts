// As a namespace, and mini: bundlers leave out what is not used of it, which is most of it, and a function on AWS that starts has the less to load.
import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'

// Mini has no words for what is wrong but those that it is given.
z.config(en())

const instant = z.pipe(
  z.iso.datetime({ offset: true }),
  z.transform(text => Date.parse(text)),
)
const id = z.string().check(z.minLength(1))

/**
 * One line of the input. Fields it does not know are left out. A search may name no item (then `item_id` is `''`);
 * a click or a view without one is refused, and goes to the dead letters.
 */
export const ShopEvent = z
  .object({
    user_id: id,
    item_id: z._default(z.string(), ''),
    event_type: z.enum(['search', 'click', 'view']),
    /** Epoch ms, or an ISO 8601 instant, which becomes epoch ms. */
    timestamp: z.union([z.int().check(z.nonnegative()), instant]),
    event_id: z.optional(id),
    query: z.optional(z.string()),
  })
  .check(
    z.refine(event => event.item_id !== '' || event.event_type === 'search', {
      path: ['item_id'],
      error: 'a click or a view names an item',
    }),
  )

/** A search, click or view by one user, `timestamp` in epoch ms. */
export type ShopEvent = z.output<typeof ShopEvent>
