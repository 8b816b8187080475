import { holdToFlink } from './queries.ts'

const stateless = ['q0', 'q1', 'q2', 'q14', 'q21', 'q22']
const windows = ['q5', 'q7', 'q8', 'q11']
const tables = ['q3', 'q4', 'q6', 'q9', 'q13', 'q15', 'q16', 'q17', 'q18', 'q19', 'q20']

holdToFlink('nexmark-small', 0, [...stateless, ...windows, ...tables])
