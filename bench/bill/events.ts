import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'

/** A line of NDJSON around what is written anew each time it is sent. */
interface Template {
  readonly parts: readonly string[]
  /** What goes between the parts. */
  readonly holes: readonly Hole[]
}
type Hole =
  | { readonly kind: 'time'; readonly iso: boolean }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'id'; readonly value: string }

export type DataSet = 'nexmark' | 'ecom' | 'recommendations'

/** Times, and what has to be new when the lines are sent a second time: numbers that go on, ids that are never used again. */
const HOLES: Readonly<Record<DataSet, RegExp>> = {
  nexmark: /(?<="dateTime":)(?<time>\d+)|(?<="auction":)(?<number>\d+)/g,
  ecom: /(?<="timestamp":)(?<iso>"[^"]*")|(?<="event_id":")(?<id>[^"]*)/g,
  recommendations: /(?<="timestamp":)(?<time>\d+)|(?<="event_id":")(?<id>[^"]*)/g,
}
/** More than there are lines, so that numbers do not meet those of an earlier time. */
const STEP = 10_000_000

/** Events of a file, for ever, each with the time that it is asked for: in order, none late. */
export interface Events {
  /** A line, without its end. `at`: epoch ms. */
  next(at: number): string
}

/** @throws Error when the directory has no such data */
export async function openEvents(directory: string, set: DataSet, linesMax: number): Promise<Events> {
  const path = ['large.ndjson', 'small.ndjson.gz', 'sample.ndjson.gz']
    .flatMap(end => [join(directory, `${set}-${end}`), ...(set === 'recommendations' ? [join(directory, end)] : [])])
    .find(existsSync)
  if (path === undefined) throw new Error(`${directory} has no events for ${set}: ${set}-large.ndjson, or ${set}-small.ndjson.gz`)
  const file = createReadStream(path)
  const lines = createInterface({ input: path.endsWith('.gz') ? file.pipe(createGunzip()) : file })
  const templates: Template[] = []
  for await (const line of lines) {
    templates.push(template(line, HOLES[set]))
    if (templates.length === linesMax) break
  }
  file.destroy()
  let sent = 0
  return {
    next(at) {
      const round = Math.floor(sent / templates.length)
      return filled(templates[sent++ % templates.length]!, at, round)
    },
  }
}

function template(line: string, holes: RegExp): Template {
  const parts: string[] = []
  const found: Hole[] = []
  let end = 0
  for (const match of line.matchAll(holes)) {
    const { iso, number, id } = match.groups!
    parts.push(line.slice(end, match.index))
    end = match.index + match[0].length
    if (number !== undefined) found.push({ kind: 'number', value: Number(number) })
    else if (id !== undefined) found.push({ kind: 'id', value: id })
    else found.push({ kind: 'time', iso: iso !== undefined })
  }
  return { parts: [...parts, line.slice(end)], holes: found }
}

function filled({ parts, holes }: Template, at: number, round: number): string {
  let text = parts[0]!
  for (const [i, hole] of holes.entries()) text += filling(hole, at, round) + parts[i + 1]!
  return text
}

function filling(hole: Hole, at: number, round: number): string {
  if (hole.kind === 'number') return String(hole.value + round * STEP)
  if (hole.kind === 'id') return round === 0 ? hole.value : `${hole.value}-${round}`
  return hole.iso ? `"${new Date(at).toISOString()}"` : String(Math.floor(at))
}
