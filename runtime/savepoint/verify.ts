import type { Blobs } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { readSegment } from '../snapshot/segment.ts'
import { damageOf, readSavepoint, type SavepointManifest } from './format.ts'

export interface Verified {
  readonly manifest: SavepointManifest
  /** Entries of keyed state. */
  readonly items: number
  /** What is wrong, by the damaged part's name. */
  readonly damages: readonly string[]
}

/**
 * Reads all of a savepoint: each file against its checksum, each segment's entries, whose addresses have to be in order.
 * @throws SnapshotError when there is no manifest to go by, or it is damaged itself
 */
export async function verifySavepoint(blobs: Pick<Blobs, 'get'>, place: string): Promise<Verified> {
  const manifest = await readSavepoint(blobs, place)
  const damages: string[] = []
  let items = 0
  for (const file of manifest.files) {
    const data = await blobs.get(file.name)
    const damage = damageOf(file, data)
    if (damage !== undefined) damages.push(`${file.name} ${damage}`)
    else if (file.name.startsWith('segments/'))
      try {
        items += countItems(data!, file.name)
      } catch (error) {
        if (!(error instanceof SnapshotError)) throw error
        damages.push(error.message)
      }
  }
  const known = new Set(manifest.files.map(({ name }) => name))
  const named = manifest.subtasks.flatMap(s => [...(s.runs ?? []).flat().map(({ blob }) => blob), ...s.channelState])
  for (const name of named) if (!known.has(name)) damages.push(`${name} is not among the savepoint's files`)
  return { manifest, items, damages }
}

function countItems(segment: Uint8Array, name: string): number {
  let items = 0
  let before: string | undefined
  for (const { address } of readSegment(segment, name)) {
    if (before !== undefined && address <= before)
      throw new SnapshotError(`segment ${name} is damaged: its entries are not in order`)
    before = address
    items++
  }
  return items
}
