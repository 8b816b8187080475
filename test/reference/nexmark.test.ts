import { holdToFlink } from './queries.ts'

holdToFlink('nexmark-small', 0, ['q0', 'q1', 'q2', 'q5', 'q7', 'q8', 'q11'])
