import { holdToFlink } from './queries.ts'

holdToFlink('ecom-small', 10_000, ['e1', 'e2', 'e3', 'e4', 'e5', 'e6'])
