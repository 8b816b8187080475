/** One pipeline at one rate and one window, in a process of its own: started by main.ts, which reads the line of JSON that it prints. */
import { loadQuery } from '../reference/run.ts'
import { type DataSet, openEvents } from './events.ts'
import machine from './machine.json' with { type: 'json' }
import { type Simulation, simulate } from './simulate.ts'

export interface Cell extends Omit<Simulation, 'app' | 'events' | 'asksOthers'> {
  readonly pipeline: string
  readonly data: string
}

const LINES_MAX = 500_000
const SETS: Readonly<Record<string, DataSet>> = { q5: 'nexmark', e1: 'ecom', recommendations: 'recommendations' }

async function appOf(pipeline: string) {
  if (pipeline === 'recommendations') return (await import('../../examples/recommendations/pipeline.ts')).default
  return loadQuery(pipeline, pipeline.startsWith('e') ? 10_000 : 0)
}

if (import.meta.main) {
  const { pipeline, data, ...cell } = JSON.parse(process.argv[2]!) as Cell
  // As Lambda tells functions how much they have: what of state may stay in memory goes by it.
  process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE = String(machine.memoryGb * 1024)
  // Few records need few lines.
  const lines = Math.min(LINES_MAX, cell.rate * (cell.warmSeconds + cell.seconds + 1))
  const events = await openEvents(data, SETS[pipeline]!, lines)
  const simulated = await simulate({ ...cell, app: await appOf(pipeline), events, asksOthers: pipeline === 'recommendations' })
  console.log(JSON.stringify(simulated))
  process.exit()
}
