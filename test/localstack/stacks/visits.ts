import { visits } from '../../functions/visits.ts'

/** Its user code throws on some records. */
export default visits(({ page }) => {
  if (page === 'poison') throw new RangeError(`no page ${page}`)
})
