/** The contents of a table, from the file of its changes. */
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import type { Change } from 'millrace'

/** Writes the rows of a file of changes, in any order, and takes the changes away. Resolves with how many rows there are. */
export async function foldChanges(changes: string, rows: string): Promise<number> {
  const counts = await fold(changes)
  let written = 0
  await pipeline(function* () {
    for (const [row, count] of counts) {
      if (count < 0) throw new Error(`${row} was taken back more often than it was added`)
      written += count
      for (let i = 0; i < count; i++) yield `${row}\n`
    }
  }, createWriteStream(rows))
  await rm(changes)
  return written
}

/** Row → how often it is there; a row may be in a table several times. Where changes of several writers are mixed, it may be taken back first. */
async function fold(changes: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for await (const line of createInterface({ input: createReadStream(changes) })) {
    const { kind, row }: Change<unknown> = JSON.parse(line)
    const text = JSON.stringify(row)
    const count = (counts.get(text) ?? 0) + (kind === '+I' || kind === '+U' ? 1 : -1)
    if (count === 0) counts.delete(text)
    else counts.set(text, count)
  }
  return counts
}
