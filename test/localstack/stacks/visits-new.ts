import { visits } from '../../functions/visits.ts'

/** New code that the state fits: it takes what the old one threw on. */
export default visits()
