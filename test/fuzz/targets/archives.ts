import assert from 'node:assert/strict'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import type { InputFiles } from '../../../runtime/batch/input-files.ts'
import { openPiece } from '../../../runtime/batch/piece-reader.ts'
import { cutFiles } from '../../../runtime/batch/pieces.ts'
import { ConnectorError } from '../../../runtime/connectors/error.ts'
import { packedAs } from '../../../runtime/connectors/unpack.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { mutate } from '../mutate.ts'
import type { Target } from '../target.ts'
import { text } from '../values.ts'

/** Files of archives, plain and packed in several members: whole ones give their records, damaged ones whole members, or an error. */
export const archives: Target = {
  name: 'archives',
  once: dice => (dice.chance(0.3) ? csv(dice) : objects(dice)),
}

/** `sums`: without a checksum in it nothing tells that zstd was damaged. */
const FORMATS = [
  { name: 'it.ndjson', pack: (content: Buffer) => content, sums: false },
  { name: 'it.gz', pack: (content: Buffer) => gzipSync(content, { level: 1 }), sums: true },
  { name: 'it.zst', pack: (content: Buffer) => zstdCompressSync(content), sums: false },
  {
    name: 'it.zst',
    pack: (content: Buffer) => zstdCompressSync(content, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    sums: true,
  },
]

async function objects(dice: Dice): Promise<boolean> {
  const { name, pack, sums } = dice.pick(FORMATS)
  const end = dice.pick(['\n', '\r\n', ''])
  let n = 0
  const members = Array.from({ length: 1 + dice.below(3) }, () =>
    Array.from({ length: 1 + dice.below(4) }, () => JSON.stringify({ n: n++, text: text(dice).toWellFormed() })),
  )
  const bytes = Buffer.concat(members.map(rows => pack(Buffer.from(rows.map(row => row + end).join('')))))
  if (dice.chance(0.3)) {
    assert.deepEqual(await records(name, bytes), members.flat())
    return true
  }
  const damaged = mutate(bytes, dice)
  const found = await records(name, damaged)
  // Without its first bytes it is no packed file: its lines are text, and most of them dead letters.
  if (found !== undefined && sums && packedAs(damaged) !== undefined) checkMembers(found, members)
  return found !== undefined
}

/** Members are packed one by one, and a file may end behind any of them, or have one twice. */
function checkMembers(found: readonly string[], members: readonly (readonly string[])[]): void {
  for (let at = 0; at < found.length; ) {
    const member = members.find(rows => rows.every((row, i) => row === found[at + i]))
    // Damaged in its first bytes it is not packed: each of its lines goes to the dead letters then.
    assert.ok(member !== undefined || (at === 0 && !found.some(line => /^\{"n":\d+,/.test(line))), 'a line of no member')
    at += member?.length ?? found.length
  }
}

async function csv(dice: Dice): Promise<boolean> {
  const columns = Array.from({ length: 1 + dice.below(4) }, (_, i) =>
    dice.pick([`c${i}`, `${i}"${text(dice).toWellFormed()}`, '__proto__', 'c']),
  )
  const rows = Array.from({ length: dice.below(5) }, () => columns.map(() => cell(dice)))
  const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`
  const written = [columns.map(quoted), ...rows.map(row => row.map(c => (c.quoted ? quoted(c.text) : c.text)))]
  const bytes = Buffer.from(written.map(row => `${row.join(',')}\n`).join(''))
  if (dice.chance(0.5)) {
    const found = await records('it.csv', bytes)
    if (columns.includes('__proto__') || new Set(columns).size < columns.length) {
      assert.equal(found, undefined, 'a column would be lost')
      return false
    }
    const expected = rows.map(row =>
      Object.fromEntries(row.flatMap((c, i) => (c.value === undefined ? [] : [[columns[i]!, c.value]]))),
    )
    const isEmpty = (row: (typeof rows)[number]) => columns.length === 1 && row[0]!.text === '' && !row[0]!.quoted
    const kept = expected.filter((_, i) => !isEmpty(rows[i]!))
    assert.deepEqual(
      found?.map(row => JSON.parse(row)),
      kept,
    )
    return true
  }
  const found = await records('it.csv', mutate(bytes, dice))
  for (const row of found ?? []) assert.equal(typeof JSON.parse(row), 'object')
  return found !== undefined
}

interface Cell {
  readonly text: string
  readonly quoted: boolean
  readonly value: unknown
}

/** docs/backfill.md: what JSON would write so is a number or a boolean, an empty one is left out, all else is text. */
function cell(dice: Dice): Cell {
  const of = (value: number | boolean): Cell => ({ text: JSON.stringify(value), quoted: dice.chance(0.5), value })
  switch (dice.below(4)) {
    case 0:
      return of(dice.chance(0.5))
    case 1:
      return of(dice.pick([0, 1, -1, 0.5, 2 ** 53, 1e21, dice.below(1e9)]))
    case 2:
      return { text: '', quoted: dice.chance(0.5), value: undefined }
    default: {
      const raw = `t${text(dice).toWellFormed()}`
      return { text: raw, quoted: true, value: raw }
    }
  }
}

/** Undefined: refused by name. */
async function records(path: string, bytes: Uint8Array): Promise<string[] | undefined> {
  const files = inMemory(bytes)
  try {
    const found: string[] = []
    for (const piece of await cutFiles([{ path }], undefined, files)) {
      const reader = await openPiece(piece, () => {}, files)
      try {
        for (let done = false; !done; ) {
          const batch = await reader.read(undefined, Number.POSITIVE_INFINITY)
          for (const record of batch.records) found.push(String(record))
          done = batch.done
        }
      } finally {
        await reader.close()
      }
    }
    return found
  } catch (error) {
    if (error instanceof ConnectorError) return undefined
    throw error
  }
}

/** One file, which is handed out in small pieces. */
export function inMemory(bytes: Uint8Array): InputFiles {
  const size = bytes.length
  return {
    list: async place => [{ path: place }],
    open: async () => ({
      size,
      read: async (from, to) => bytes.subarray(from, Math.min(to, size)),
      async *chunks(from, to) {
        for (let at = from; at < to; at += 50) yield bytes.subarray(at, Math.min(to, at + 50))
      },
      close: async () => {},
    }),
  }
}
