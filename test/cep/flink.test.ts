/** Random patterns on random events, held to what real Flink found in them: flink/README.md tells how its answers were made. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { newMatching, onEvent, onTime, type Pattern } from '../../runtime/cep/matching.ts'
import { begin, compile } from '../../runtime/cep/pattern.ts'
import { noSkip, type SkipStrategy, skipPastLastEvent, skipToFirst, skipToLast, skipToNext } from '../../runtime/cep/skip.ts'
import type { Events } from '../../runtime/cep/steps.ts'

interface Event {
  readonly id: number
  readonly type: string
  readonly at: number
}

interface Answers {
  /** By key: events as `ID TYPE @ MS`, in order. */
  readonly events: Record<string, string>
  readonly cases: { readonly pattern: string; readonly refused: boolean; readonly found: Record<string, string[]> }[]
}

const sets: Answers[] = JSON.parse(gunzipSync(readFileSync(join(import.meta.dirname, 'flink/answers.json.gz'))).toString())

const SKIPS: Record<string, (name: string) => SkipStrategy> = {
  next: skipToNext,
  pastLast: skipPastLastEvent,
  toFirst: skipToFirst,
  toLast: skipToLast,
}

/** Of text such as `begin a AB;oneOrMore;greedy;next b C;within 10;skip pastLast`: steps with the types of event that fit. */
function patternOf(text: string): Pattern<Event> {
  let pattern: any
  let skip = noSkip()
  for (const part of text.split(';')) {
    const [method, ...args] = part.split(' ') as [string, ...string[]]
    const fits = (types: string) => (event: Event) => types.includes(event.type)
    if (method === 'begin') pattern = begin<Event, string>(args[0]!).where(fits(args[1]!))
    else if (method === 'skip') skip = SKIPS[args[0]!]!(args[1]!)
    else if (method === 'until') pattern = pattern.until(fits(args[0]!))
    else if (/^(next|followedBy|followedByAny|notNext|notFollowedBy)$/.test(method))
      pattern = pattern[method](args[0]).where(fits(args[1]!))
    else pattern = pattern[method](...args.map(Number))
  }
  return compile(pattern, skip)
}

function eventsOf(text: string): Event[] {
  return text.split(' ').map(word => {
    const [, id, type, at] = /^(\d+)(\w)@(\d+)$/.exec(word)!
    return { id: Number(id), type: type!, at: Number(at) }
  })
}

const show = (match: Events<Event>) =>
  Object.keys(match)
    .filter(name => match[name]!.length > 0)
    .sort()
    .map(name => `${name}=${match[name]!.map(event => `${event.id},`).join('')}`)
    .join(' ')

/** As the operator does it: at each time, first what is too old, then the events. */
function find(pattern: Pattern<Event>, events: readonly Event[]): string[] {
  const matching = newMatching<Event>()
  const found: string[] = []
  const times = new Set(events.flatMap(({ at }) => (pattern.withinMs === undefined ? [at] : [at, at + pattern.withinMs])))
  for (const time of [...times].sort((a, b) => a - b)) {
    const old = onTime(pattern, matching, time)
    found.push(...old.matches.map(show), ...old.timedOut.map(partial => `timed out ${show(partial)}`))
    for (const event of events.filter(e => e.at === time))
      found.push(...onEvent(pattern, matching, event, time).matches.map(show))
  }
  return found.sort()
}

/** Of several matches that start with the same event and end at once, skipping takes the first that it finds: which that is, is nowhere promised. */
function startsTwice(found: readonly string[], others: readonly string[]): boolean {
  const starts = (lines: readonly string[]) => lines.map(line => Math.min(...line.matchAll(/\d+(?=,)/g).map(Number)))
  return starts(found).some(start => starts(others).includes(start))
}

for (const [i, { events, cases }] of sets.entries()) {
  test(`patterns find what they find in Flink, set ${i + 1}`, () => {
    let same = 0
    let other = 0
    for (const { pattern, refused, found } of cases) {
      if (refused) {
        assert.throws(() => patternOf(pattern), /match: /, pattern)
        continue
      }
      const compiled = patternOf(pattern)
      for (const [key, text] of Object.entries(events)) {
        const ours = find(compiled, eventsOf(text))
        const theirs = found[key] ?? []
        if (compiled.skip.kind !== 'none' && ours.join() !== theirs.join() && startsTwice(ours, theirs)) {
          other++
          continue
        }
        assert.deepEqual(ours, theirs, `${pattern} in ${text}`)
        same++
      }
    }
    assert.ok(same > 6000 && other < 5, `${same} compared, ${other} with another choice of matches`)
  })
}
