/** Each event once, however late it comes again. */
import { print } from 'millrace'
import { shop } from './shop.ts'

const { app, events } = shop('e4')

events.keyBy('user_id').dedup('event_id', { ttl: Number.POSITIVE_INFINITY }).sink('results', print())

export default app
