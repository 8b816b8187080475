import { parseArgs } from 'node:util'
import { scenarios } from './scenarios.ts'

export const HELP = `npm run sim -- [options]

Drives whole pipelines, their checkpoints and their faults through the functions of runtime/aws/functions, on simulated services: each seed is a run of its own,
and always the same. See docs/simulator.md.

  --seeds N        how many seeds (300; 500 for each mutant)
  --from S         the first one (0)
  --minutes M      seeds until then, instead of a number of them
  --pipeline P     of one pipeline only: ${scenarios.map(s => s.name).join(', ')}
  --workers N      processes (as many as there are cores)
  --seed S         one seed
  --trace          … with all that happens in it
  --mutants        plants one fault after the other into the runtime, each of which has to be found
  --mutant NAME    the same with those that have this in their names (docs/simulator.md lists them)
  --help           this text

Ends with 1 when a seed fails: with the seed, the fewest faults that it was found to fail with, and what happened then.`

export interface Options {
  readonly seeds: number
  readonly from: number
  readonly minutes: number | undefined
  readonly pipeline: string | undefined
  readonly workers: number
  readonly seed: number | undefined
  readonly trace: boolean
  readonly mutants: boolean
  readonly mutant: string | undefined
  readonly help: boolean
}

/** Each says which seeds there are: a mutant's are those from 0 on. */
const ALONE = [
  ['seed', ['seeds', 'from', 'minutes']],
  ['minutes', ['seeds']],
  ['mutants', ['seed', 'from', 'minutes', 'mutant']],
  ['mutant', ['seed', 'from', 'minutes']],
] as const

/** @throws Error that says what is wrong */
export function parseOptions(args: readonly string[], cores: number): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string' },
      from: { type: 'string' },
      minutes: { type: 'string' },
      pipeline: { type: 'string' },
      workers: { type: 'string', default: String(cores) },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      mutants: { type: 'boolean', default: false },
      mutant: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const { pipeline, mutant, trace, mutants, help } = values
  if (pipeline !== undefined && !scenarios.some(s => s.name === pipeline))
    throw new Error(`there is no pipeline '${pipeline}': there are ${scenarios.map(s => s.name).join(', ')}`)
  if (trace && values.seed === undefined) throw new Error('--trace is of one --seed')
  // One of them would be left out in silence.
  const isGiven = (name: keyof typeof values) => values[name] !== undefined && values[name] !== false
  for (const [one, others] of ALONE)
    for (const other of others) if (isGiven(one) && isGiven(other)) throw new Error(`--${one} and --${other} do not go together`)
  return {
    seeds: whole('seeds', values.seeds ?? (mutants || mutant !== undefined ? '500' : '300'), 1),
    from: whole('from', values.from ?? '0', 0),
    minutes: values.minutes === undefined ? undefined : above('minutes', values.minutes),
    pipeline,
    workers: whole('workers', values.workers, 1),
    seed: values.seed === undefined ? undefined : whole('seed', values.seed, 0),
    trace,
    mutants,
    mutant,
    help,
  }
}

function whole(name: string, text: string, least: number): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < least)
    throw new Error(`--${name} is a whole number from ${least} on, not '${text}'`)
  return number
}

function above(name: string, text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new Error(`--${name} is a number above 0, not '${text}'`)
  return number
}
