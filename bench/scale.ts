/** `npm run bench -- --scale`: what an event costs, and how much memory is taken, by keys and subtasks. See `--scale --help`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { STATE_BACKENDS } from '../runtime/state/backend.ts'
import { parsed, UsageError, wholeNumber } from './arguments.ts'
import { outputOf } from './ours.ts'
import type { PointMeasured, PointSettings } from './scale-point.ts'
import { markdown } from './table.ts'

const USAGE = `A running sum for each key, exactly-once on, by numbers of keys and of subtasks: CPU an event, and memory.

  npm run bench -- --scale [--keys N,…] [--subtasks N,…] [--events N] [--state-mb N] [--backend B] [--json FILE]

  --keys N,…       default 10000,1000000,10000000
  --subtasks N,…   of the stage with the state, all in one thread (default 1,4,16)
  --events N       default 2000000, and at least one for each key
  --state-mb N     of memory for state, so that more of it lies on disk (default: a quarter of the heap's limit)
  --backend B      where state lies: table or segments (default table)
  --json FILE      the figures as JSON as well`

const EVENTS = 2_000_000

export interface Point extends PointSettings {
  readonly measured: PointMeasured
}

export async function scale(words: readonly string[]): Promise<void> {
  const { values } = parsed(words, {
    scale: { type: 'boolean' },
    keys: { type: 'string', default: '10000,1000000,10000000' },
    subtasks: { type: 'string', default: '1,4,16' },
    events: { type: 'string' },
    'state-mb': { type: 'string' },
    backend: { type: 'string', default: 'table' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) return console.log(USAGE)
  const stateMb = values['state-mb'] === undefined ? undefined : wholeNumber('state-mb', values['state-mb'])
  const stateBackend = STATE_BACKENDS.find(backend => backend === values.backend)
  if (stateBackend === undefined) throw new UsageError(`--backend ${values.backend}: there is ${STATE_BACKENDS.join(' and ')}`)
  const points: Point[] = []
  for (const keys of numbers('keys', values.keys)) {
    for (const subtasks of numbers('subtasks', values.subtasks)) {
      const events = Math.max(keys, values.events === undefined ? EVENTS : wholeNumber('events', values.events))
      const settings: PointSettings = { keys, subtasks, events, stateBackend, ...(stateMb !== undefined && { stateMb }) }
      process.stderr.write(`${keys} keys, ${subtasks} subtasks … `)
      const output = await outputOf(process.execPath, [join(import.meta.dirname, 'scale-point.ts'), JSON.stringify(settings)])
      points.push({ ...settings, measured: JSON.parse(output) })
      process.stderr.write(`${microseconds(points.at(-1)!)} µs of CPU an event\n`)
      if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(points, undefined, 2)}\n`)
    }
  }
  console.log(scaleTable(points))
}

export function scaleTable(points: readonly Point[]): string {
  const head = ['keys', 'subtasks', 'events', 'state', 'state MB', 'µs CPU/event', 'events/s', 'peak MB', 'checkpoints']
  return markdown([
    head,
    ...points.map(point => [
      String(point.keys),
      String(point.subtasks),
      String(point.events),
      point.stateBackend,
      point.stateMb === undefined ? 'default' : String(point.stateMb),
      microseconds(point),
      `${Math.round(point.measured.events / point.measured.seconds / 1000)} k`,
      String(Math.round(point.measured.peakMb)),
      String(point.measured.checkpoints),
    ]),
  ])
}

const microseconds = ({ measured }: Point) => ((measured.cpuSeconds / measured.events) * 1e6).toFixed(1)

function numbers(flag: string, text: string): number[] {
  return text.split(',').map(part => wholeNumber(flag, part))
}
