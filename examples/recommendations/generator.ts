/** Writes traffic as NDJSON; `--help` says how. */
import { createWriteStream } from 'node:fs'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createGzip } from 'node:zlib'
import { defaults, type TrafficOptions, traffic } from './traffic.ts'

const LINES_A_CHUNK = 500

const help = `Traffic of a shop for the recommendation example, as NDJSON.

  npx node examples/recommendations/generator.ts [--out FILE] [options]

  --out FILE       where to write, gzipped if it ends in .gz   (standard output)
  --users N        how many users                              (${defaults.users})
  --minutes N      how long, in event time                     (${defaults.minutes})
  --rate N         events a second, without the bots'          (${defaults.rate})
  --events N       how many events in all, instead of --rate
  --items N        size of the catalogue, i1 to iN             (${defaults.items})
  --bots N         how many users flood                        (${defaults.bots})
  --seed N         other numbers, other traffic                (${defaults.seed})
  --start TIME     time of the first event, ISO or epoch ms    (${new Date(defaults.start).toISOString()})

Up to 10 s of disorder, 0.5 % later than that, 1 % twice. The same options give the same file.`

const NUMBERS = { users: 1e8, minutes: 1e6, rate: 1e7, events: 1e11, items: 1e7, bots: 1e4, seed: 2 ** 32 }

/** A mistake in the arguments. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

function parse(args: string[]): { options: Partial<TrafficOptions>; out: string | undefined } | undefined {
  const names = [...Object.keys(NUMBERS), 'start', 'out']
  const flags = Object.fromEntries(names.map(name => [name, { type: 'string' as const }]))
  const parsed = parseArgs({ args, options: { ...flags, help: { type: 'boolean' } } })
  const values: Record<string, string | boolean | undefined> = parsed.values
  if (values.help) return undefined
  const options: Record<string, number> = {}
  for (const [name, max] of Object.entries(NUMBERS)) {
    const value = values[name]
    if (value === undefined) continue
    const number = Number(value)
    const least = name === 'bots' || name === 'seed' ? 0 : name === 'rate' || name === 'minutes' ? Number.MIN_VALUE : 1
    const whole = name === 'rate' || name === 'minutes' || Number.isInteger(number)
    if (!(number >= least && number <= max && whole)) throw new UsageError(`--${name} ${value}: not a number it can be`)
    options[name] = number
  }
  if (typeof values.start === 'string') {
    const start = /^\d+$/.test(values.start) ? Number(values.start) : Date.parse(values.start)
    if (!Number.isFinite(start)) throw new UsageError(`--start ${values.start}: neither an ISO time nor epoch ms`)
    options.start = start
  }
  const { events, ...rest } = options
  if (events !== undefined) {
    if (rest.rate !== undefined) throw new UsageError('--rate or --events, not both')
    rest.rate = events / ((rest.minutes ?? defaults.minutes) * 60)
  }
  return { options: rest, out: typeof values.out === 'string' ? values.out : undefined }
}

function* lines(options: Partial<TrafficOptions>): Generator<string> {
  let chunk: string[] = []
  for (const event of traffic(options)) {
    chunk.push(JSON.stringify(event))
    if (chunk.length === LINES_A_CHUNK) {
      yield `${chunk.join('\n')}\n`
      chunk = []
    }
  }
  if (chunk.length) yield `${chunk.join('\n')}\n`
}

async function main(): Promise<void> {
  const parsed = parse(process.argv.slice(2))
  if (!parsed) return console.log(help)
  const target: Writable = parsed.out ? createWriteStream(parsed.out) : process.stdout
  const source = Readable.from(lines(parsed.options))
  if (parsed.out?.endsWith('.gz')) await pipeline(source, createGzip({ level: 9 }), target)
  else await pipeline(source, target)
}

if (import.meta.main) {
  main().catch(error => {
    // `generator.ts | head` closes the pipe: not a mistake.
    if (error.code === 'EPIPE') process.exit(0)
    console.error(error instanceof Error ? error.message : error)
    process.exit(2)
  })
}
