import { holdToFlink } from './queries.ts'

holdToFlink('ecom-small', 10_000, ['e1'])
