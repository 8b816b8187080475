import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'

export const Event = z.object({
  id: z.string(),
  kind: z.enum(['view', 'buy', 'rule']),
  user: z.string(),
  item: z.string(),
  at: z.number(),
  amount: z.number(),
})
export type Event = z.infer<typeof Event>

export const START = 1_700_000_000_000

/** Pseudo-random numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Events 100 ms apart on average, up to 2 s out of order; one in 20 is up to 30 s late, one in 15 comes again, one in 40 is a rule. */
export function generate(n: number, seed: number): Event[] {
  const random = seeded(seed)
  const pick = (max: number) => Math.floor(random() * max)
  const events: Event[] = []
  for (let i = 0; i < n; i++) {
    if (i > 10 && pick(15) === 0) {
      events.push(events[i - 1 - pick(10)]!)
      continue
    }
    const late = pick(20) === 0 ? pick(30_000) : pick(2000)
    const kind = pick(40) === 0 ? 'rule' : pick(3) === 0 ? 'buy' : 'view'
    const at = Math.max(START, START + i * 100 + pick(200) - late)
    events.push({ id: `e${i}`, kind, user: `u${pick(12)}`, item: `i${Math.floor(pick(30) ** 2 / 30)}`, at, amount: pick(1000) })
  }
  return events
}

/** A directory for a test, deleted at its end. */
export function scratch(t: { after(fn: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-engine-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export function writeEvents(path: string, events: readonly unknown[]): string {
  writeFileSync(path, events.map(e => `${JSON.stringify(e)}\n`).join(''))
  return path
}

/** The lines of a file sink, sorted: the order over subtasks is not promised. */
export function sortedLines(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean).sort()
}
