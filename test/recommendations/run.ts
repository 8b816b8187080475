/** Runs the example and its plain computation on generated traffic. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildIndex } from '../../examples/recommendations/ann.ts'
import type { ShopEvent } from '../../examples/recommendations/events.ts'
import app from '../../examples/recommendations/pipeline.ts'
import { random } from '../../examples/recommendations/seeded.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { plainActivities, plainRecommendations, plainTrending } from './plain.ts'

/** The lines of each result file. */
export type Lines = Record<'trending' | 'activity' | 'recommendations', string[]>

const root = mkdtempSync(join(tmpdir(), 'millrace-recommendations-'))
let directories = 0

export function directory(): string {
  const path = join(root, `${directories++}`)
  mkdirSync(path)
  return path
}

export function write(path: string, events: readonly ShopEvent[]): string {
  writeFileSync(path, events.map(event => `${JSON.stringify(event)}\n`).join(''))
  return path
}

/** Some events come much later than the disorder that is waited for, and some once more. */
export function delayed(events: readonly ShopEvent[], seed: number, delayMsMax: number): ShopEvent[] {
  const next = random(seed)
  const arrivals = events.flatMap(event => {
    const late = next() < 0.05 ? next() * delayMsMax : 0
    const once = { event, at: event.timestamp + late }
    return next() < 0.05 ? [once, { event, at: once.at + next() * delayMsMax }] : [once]
  })
  return arrivals.sort((a, b) => a.at - b.at).map(arrival => arrival.event)
}

export function plain(events: ShopEvent[]): Lines {
  const index = buildIndex()
  const lines = (rows: readonly unknown[]): string[] => rows.map(row => JSON.stringify(row))
  return {
    trending: lines(plainTrending(events)),
    activity: lines(plainActivities(events)),
    recommendations: lines(plainRecommendations(events, index)),
  }
}

export async function run(inputs: readonly string[], options: RunOptions = {}): Promise<Lines> {
  const out = directory()
  const sinks = Object.fromEntries(
    ['trending', 'activity', 'recommendations'].map(name => [name, fileSink(join(out, `${name}.ndjson`))]),
  )
  await runEmbedded(app.graph(), { sources: { events: fileSource(inputs) }, sinks, ...options })
  return readLines(out)
}

export function readLines(out: string): Lines {
  const lines = (name: string): string[] =>
    readFileSync(join(out, `${name}.ndjson`), 'utf8')
      .split('\n')
      .slice(0, -1)
  return { trending: lines('trending'), activity: lines('activity'), recommendations: lines('recommendations') }
}

export function sorted(lines: Lines): Lines {
  return {
    trending: lines.trending.toSorted(),
    activity: lines.activity.toSorted(),
    recommendations: lines.recommendations.toSorted(),
  }
}
