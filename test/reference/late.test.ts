/** Sets of other seeds, with a tenth of the events late, and some twice; see data/README.md. */
import { holdToFlink } from './queries.ts'

holdToFlink('nexmark-late', 4000, ['q3', 'q4', 'q5', 'q6', 'q7', 'q8', 'q9', 'q11', 'q17', 'q18', 'q19', 'q20'])
holdToFlink('ecom-late', 10_000, ['e1', 'e2', 'e3', 'e4', 'e5', 'e6'])
