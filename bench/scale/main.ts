/** `npm run bench -- --scale`: what an event costs, and how much memory is taken, by keys and subtasks. See `--scale --help`. */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { STATE_BACKENDS } from '../../runtime/state/backend.ts'
import { parsed, UsageError, wholeNumber } from '../arguments.ts'
import { flinkLibraries } from '../flink-job.ts'
import { outputOf } from '../ours.ts'
import { markdown } from '../table.ts'
import { flinkBackends, runFlinkPoint } from './flink.ts'
import type { PointMeasured, PointSettings } from './point.ts'

const USAGE = `A running sum for each key, exactly-once on, by numbers of keys and of subtasks: CPU an event, and memory.

  npm run bench -- --scale [--keys N,…] [--subtasks N,…] [--events N] [--state-mb N] [--backend B,…] [--vs-flink DIR] [--json FILE]

  --keys N,…       default 10000,1000000,10000000
  --subtasks N,…   of the stage with the state, all in one thread (default 1,4,16)
  --events N       default 2000000, and at least one for each key
  --state-mb N     of memory for state, so that more of it lies on disk (default: a quarter of the heap's limit)
  --backend B,…    where state lies: table, segments (default table)
  --vs-flink DIR   the same in Flink (DIR: built, as for the queries): with hashmap, and with RocksDB where DIR has its libraries
  --json FILE      the figures as JSON as well`

const EVENTS = 2_000_000

export interface Point {
  readonly system: string
  readonly keys: number
  readonly subtasks: number
  readonly stateMb?: number
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
    'vs-flink': { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) return console.log(USAGE)
  const stateMb = values['state-mb'] === undefined ? undefined : wholeNumber('state-mb', values['state-mb'])
  const lib = values['vs-flink'] === undefined ? undefined : flinkLibraries(values['vs-flink'])
  const backends = values.backend.split(',').map(name => {
    const found = STATE_BACKENDS.find(backend => backend === name)
    if (found === undefined) throw new UsageError(`--backend ${name}: there is ${STATE_BACKENDS.join(' and ')}`)
    return found
  })
  const points: Point[] = []
  const measure = async (point: Omit<Point, 'measured'>, run: () => Promise<PointMeasured>) => {
    process.stderr.write(`${point.keys} keys, ${point.subtasks} subtasks, ${point.system} … `)
    points.push({ ...point, measured: await run() })
    process.stderr.write(`${microseconds(points.at(-1)!)} µs of CPU an event\n`)
    if (values.json !== undefined) writeFileSync(values.json, asJson(points))
  }
  for (const keys of numbers('keys', values.keys)) {
    for (const subtasks of numbers('subtasks', values.subtasks)) {
      const events = Math.max(keys, values.events === undefined ? EVENTS : wholeNumber('events', values.events))
      const memory = stateMb === undefined ? {} : { stateMb }
      for (const stateBackend of backends) {
        const settings = { keys, subtasks, events, stateBackend, ...memory }
        await measure({ system: `millrace, ${stateBackend}`, keys, subtasks, ...memory }, () => runOwnPoint(settings))
      }
      if (lib === undefined) continue
      for (const backend of flinkBackends(lib))
        await measure({ system: `Flink, ${backend}`, keys, subtasks }, () =>
          runFlinkPoint(lib, { keys, subtasks, events, backend }),
        )
    }
  }
  console.log(scaleTable(points))
}

async function runOwnPoint(settings: PointSettings): Promise<PointMeasured> {
  return JSON.parse(await outputOf(process.execPath, [join(import.meta.dirname, 'point.ts'), JSON.stringify(settings)]))
}

/** As Markdown. */
export function scaleTable(points: readonly Point[]): string {
  const head = ['keys', 'subtasks', 'events', 'system, state', 'state MB', 'µs CPU/event', 'events/s', 'peak MB', 'checkpoints']
  return markdown([
    head,
    ...points.map(point => [
      String(point.keys),
      String(point.subtasks),
      String(point.measured.events),
      point.system,
      point.stateMb === undefined ? 'default' : String(point.stateMb),
      microseconds(point),
      `${Math.round(point.measured.events / point.measured.seconds / 1000)} k`,
      point.measured.peakMb === undefined ? '–' : String(Math.round(point.measured.peakMb)),
      String(point.measured.checkpoints),
    ]),
  ])
}

function asJson(points: readonly Point[]): string {
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version }
  return `${JSON.stringify({ machine, points }, undefined, 2)}\n`
}

const microseconds = ({ measured }: Point) => ((measured.cpuSeconds / measured.events) * 1e6).toFixed(1)

function numbers(flag: string, text: string): number[] {
  return text.split(',').map(part => wholeNumber(flag, part))
}
