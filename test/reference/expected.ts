/**
 * What real Flink answers, as digests: the whole files are beside the project where it is developed (`../shared/reference/expected`), and are read
 * to show what differs, if they are there. To make `digests.json` anew from such a folder, or to add data sets to it:
 *
 *   node test/reference/expected.ts FOLDER
 */
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { gunzipSync } from 'node:zlib'

export interface Digest {
  readonly rows: number
  /** Of the lines, sorted by their bytes, each with its line feed. */
  readonly sha256: string
}

const FILE = join(import.meta.dirname, 'data/digests.json')
const WHOLE = join(import.meta.dirname, '../../../shared/reference/expected')

/** By data set and query. */
export const digests: Readonly<Record<string, Readonly<Record<string, Digest>>>> = existsSync(FILE)
  ? JSON.parse(readFileSync(FILE, 'utf8'))
  : {}

/** The lines of a file, plain or gzipped, in order of their bytes. */
export function sortedLines(path: string): string[] {
  const bytes = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  const lines = text.split('\n')
  if (lines.pop() !== '') throw new Error(`${path} does not end with a line feed`)
  return lines.sort() // by code unit: for text without surrogates that is the order of the bytes
}

export function digest(lines: readonly string[]): Digest {
  const hash = createHash('sha256')
  for (const line of lines) hash.update(line).update('\n')
  return { rows: lines.length, sha256: hash.digest('hex') }
}

/** The first rows that only one side has; undefined where Flink's whole answer isn't at hand. */
export function difference(dataset: string, query: string, found: readonly string[]): unknown {
  const [path] = globSync(join(WHOLE, dataset, `${query}{,_*}.ndjson.gz`))
  if (path === undefined) return undefined
  const expected = sortedLines(path)
  return { missing: without(expected, found).slice(0, 5), unexpected: without(found, expected).slice(0, 5) }
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const line of others) counts.set(line, (counts.get(line) ?? 0) + 1)
  return lines.filter(line => {
    const count = counts.get(line) ?? 0
    if (count > 0) counts.set(line, count - 1)
    return count === 0
  })
}

function update(folder: string): void {
  const all: Record<string, Record<string, Digest>> = structuredClone(digests) as never
  for (const path of globSync(join(folder, '*/*.ndjson{,.gz}')).sort()) {
    const dataset = path.split(sep).at(-2)!
    const query = basename(path).split(/[_.]/)[0]!
    all[dataset] = { ...all[dataset], [query]: digest(sortedLines(path)) }
  }
  writeFileSync(FILE, `${JSON.stringify(all, null, 2)}\n`)
}

if (import.meta.main) update(process.argv[2]!)
