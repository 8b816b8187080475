/** Sets of other seeds, with a tenth of the events late, some twice: made with Flink's tools as test/reference/README.md tells. */
import { holdToFlink } from './queries.ts'

holdToFlink('nexmark-late', 4000, ['q5', 'q7', 'q8', 'q11'])
holdToFlink('ecom-late', 10_000, ['e1'])
