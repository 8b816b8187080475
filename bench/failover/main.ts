/** `npm run bench -- --failover`: what the death of one subtask costs it and the others. See `--failover --help`. */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parsed, wholeNumber } from '../arguments.ts'
import { flinkLibraries } from '../flink-job.ts'
import { markdown } from '../table.ts'
import { type Figures, figures } from './figures.ts'
import { runFlinkFailover } from './flink.ts'
import { runOwn } from './ours.ts'
import { type FailoverSettings, SUBTASKS_MIN, type Trace } from './settings.ts'

export const FAILOVER_USAGE = `A running count of each user's events in several subtasks, each a process of its own; one of them is killed (SIGKILL) when it has done a batch and
wants to commit it. What that costs it and the others, beside the same run undisturbed.

  npm run bench -- --failover [--vs-flink DIR] [--subtasks N] [--rate N] [--seconds N] [--json FILE]

  --vs-flink DIR   the same in Flink, where one subtask throws: region failover, exactly-once checkpoints each second (DIR: built, as for the queries)
  --subtasks N     of the stage with the counts (default 8, at least ${SUBTASKS_MIN})
  --rate N         events a second (default 2000)
  --seconds N      of events; the kill comes in the middle of them (default 30)
  --json FILE      the figures as JSON as well`

type System = 'millrace' | 'Flink'

export interface FailoverRow {
  readonly system: System
  readonly undisturbed: Figures
  readonly disturbed: Figures
}

export async function failover(words: readonly string[]): Promise<void> {
  const { values } = parsed(words, {
    failover: { type: 'boolean' },
    'vs-flink': { type: 'string' },
    subtasks: { type: 'string', default: '8' },
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '30' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) return console.log(FAILOVER_USAGE)
  const seconds = wholeNumber('seconds', values.seconds, 10)
  const settings = {
    subtasks: wholeNumber('subtasks', values.subtasks, SUBTASKS_MIN),
    rate: wholeNumber('rate', values.rate),
    seconds,
    killAtSeconds: seconds / 2,
  }
  const runs: [System, (settings: FailoverSettings) => Promise<Trace>][] = [['millrace', runOwn]]
  const directory = values['vs-flink']
  if (directory !== undefined) {
    const lib = flinkLibraries(directory)
    runs.push(['Flink', given => runFlinkFailover(lib, given)])
  }
  const rows: FailoverRow[] = []
  for (const [system, run] of runs) {
    const one = async (killAtSeconds: number | undefined) => {
      process.stderr.write(`${system}, ${killAtSeconds === undefined ? 'undisturbed' : 'one subtask dies'} …\n`)
      return figures(await run({ ...settings, killAtSeconds }), settings)
    }
    rows.push({ system, undisturbed: await one(undefined), disturbed: await one(settings.killAtSeconds) })
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version }
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify({ ...settings, machine, results: rows }, undefined, 2)}\n`)
  }
  console.log(failoverTable(rows))
}

/** As Markdown. */
export function failoverTable(rows: readonly FailoverRow[]): string {
  const lines: [string, (figures: Figures) => string][] = [
    ['records seen again, by the subtask that died', f => String(f.againKilled)],
    ['records seen again, by the others', f => String(f.againOthers)],
    ['records that it had seen since its last commit', f => String(f.batch)],
    ['from its death to its next commit', f => (f.commitsAgainMs === undefined ? '–' : milliseconds(f.commitsAgainMs))],
    ['longest time between two commits, it', f => milliseconds(f.commitGapKilledMs)],
    ['longest time between two commits, others', f => milliseconds(f.commitGapOthersMs)],
    ['longest time without a record, it', f => milliseconds(f.pauseKilledMs)],
    ['longest time without a record, others', f => milliseconds(f.pauseOthersMs)],
    ['longest delay of a record, it', f => milliseconds(f.delayKilledMs)],
    ['longest delay of a record, others', f => milliseconds(f.delayOthersMs)],
  ]
  const head = ['', ...rows.flatMap(({ system }) => [`${system}, one dies`, `${system}, undisturbed`])]
  const cells = lines.map(([name, cell]) => [name, ...rows.flatMap(r => [cell(r.disturbed), cell(r.undisturbed)])])
  return markdown([head, ...cells])
}

const milliseconds = (ms: number) => `${Math.round(ms)} ms`
