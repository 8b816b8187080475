/** One pipeline at one rate and one window, in a process of its own: started by main.ts, which reads the line of JSON that it prints. */
import type { StateBackendName } from '../../runtime/state/backend.ts'
import { loadQuery } from '../reference/run.ts'
import { type DataSet, openEvents } from './events.ts'
import { simulate } from './simulate.ts'

export interface Cell {
  readonly pipeline: string
  readonly data: string
  readonly rate: number
  readonly sourceShards: number
  readonly parallelism: number
  readonly windowSeconds: number
  readonly warmSeconds: number
  readonly seconds: number
  readonly stateBackend: StateBackendName
}

const LINES_MAX = 500_000
const SETS: Readonly<Record<string, DataSet>> = { q5: 'nexmark', e1: 'ecom', recommendations: 'recommendations' }

async function appOf(pipeline: string) {
  if (pipeline === 'recommendations') return (await import('../../examples/recommendations/pipeline.ts')).default
  return loadQuery(pipeline, pipeline.startsWith('e') ? 10_000 : 0)
}

if (import.meta.main) {
  const { pipeline, data, ...cell } = JSON.parse(process.argv[2]!) as Cell
  // Few records need few lines.
  const lines = Math.min(LINES_MAX, cell.rate * (cell.warmSeconds + cell.seconds + 1))
  const events = await openEvents(data, SETS[pipeline]!, lines)
  const simulated = await simulate({ ...cell, app: await appOf(pipeline), events, asksOthers: pipeline === 'recommendations' })
  console.log(JSON.stringify(simulated))
  process.exit()
}
