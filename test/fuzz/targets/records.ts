import assert from 'node:assert/strict'
import * as z from 'zod'
import { LineChunk } from '../../../runtime/connectors/line-chunk.ts'
import { boundedOutOfOrderness, ndjson, pipeline, print } from '../../../runtime/index.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { decode } from '../../../runtime/stage/decode.ts'
import { mutate, noise } from '../mutate.ts'
import type { Target } from '../target.ts'
import { number, record, text } from '../values.ts'

const Event = z.object({ user: z.string(), at: z.number(), tags: z.array(z.string()).optional() })

const source = (() => {
  const app = pipeline('records')
  app.source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('1s') }).sink('out', print())
  return app.graph().nodes.find(node => node.source !== undefined)!.source!
})()

/** Lines as they come from outside, cut from what they lie in, and decoded: each is a record, or a dead letter with its reason. */
export const records: Target = {
  name: 'records',
  once(dice) {
    const content = Buffer.concat(Array.from({ length: dice.below(6) }, () => Buffer.concat([line(dice), dice.pick(ENDS)])))
    const found = cut(content, dice)
    assert.deepEqual(found, expected(content), 'lines are what lies between newlines')
    let accepted = true
    for (const raw of found) if (!decoded(dice.chance(0.5) ? raw.toString() : raw)) accepted = false
    return accepted
  },
}

const ENDS = [Buffer.from('\n'), Buffer.from('\r\n'), Buffer.from('\n\n'), Buffer.from('')]

function line(dice: Dice): Uint8Array {
  const kind = dice.below(6)
  if (kind === 0) return noise(dice, dice.below(30))
  const event =
    kind < 4
      ? { user: text(dice), at: number(dice), tags: dice.pick([undefined, ['a'], [1]]) }
      : { ...plain(dice), at: text(dice) }
  const json = Buffer.from(JSON.stringify(event))
  return kind === 1 ? mutate(json, dice) : json
}

/** Without what JSON has no form for. */
function plain(dice: Dice): unknown[] | Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record(dice)).filter(([, v]) => typeof v !== 'bigint' && (typeof v !== 'object' || v === null)),
  )
}

function cut(content: Buffer, dice: Dice): Buffer[] {
  const chunk = new LineChunk(content)
  const lines: Buffer[] = []
  let offset = 0
  while (!chunk.exhausted) {
    const { records, ends } = chunk.take(1 + dice.below(3))
    for (const [i, record] of records.entries()) {
      lines.push(Buffer.from(record))
      assert.ok(ends[i]! > offset, 'positions rise')
      offset = ends[i]!
    }
    assert.ok(records.length > 0 || chunk.exhausted, 'it goes on')
  }
  return lines
}

/** By the definition: empty lines are none, and a return in front of the newline belongs to it. */
function expected(content: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let from = 0; from < content.length; ) {
    const newline = content.indexOf(10, from)
    const end = newline === -1 ? content.length : newline
    const bare = end > from && content[end - 1] === 13 ? end - 1 : end
    if (bare > from) lines.push(content.subarray(from, bare))
    from = end + 1
  }
  return lines
}

function decoded(raw: string | Uint8Array): boolean {
  const found = decode(raw, source)
  let json: unknown
  try {
    json = JSON.parse(typeof raw === 'string' ? raw : new TextDecoder('utf-8', { fatal: true }).decode(raw))
  } catch {
    assert.ok(!found.ok && found.reason.startsWith('not JSON: '))
    return false
  }
  const parsed = Event.safeParse(json)
  if (parsed.success && Math.abs(parsed.data.at) <= 8.64e15) {
    assert.ok(found.ok)
    assert.deepEqual([found.value, found.timestamp], [parsed.data, Math.floor(parsed.data.at)])
    return true
  }
  assert.ok(!found.ok && /^(invalid|no timestamp): ./.test(found.reason))
  return false
}
