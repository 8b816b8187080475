import { crc32 } from 'node:zlib'
import { decodeManifest, encodeManifest, type Manifest } from '../checkpoint/manifest.ts'
import type { Blobs } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { manifestFault } from './manifest-fault.ts'
import { isDataFile, METADATA } from './names.ts'

/** A file of a savepoint: a segment, or channel state. */
export interface SavepointFile {
  readonly name: string
  readonly bytes: number
  readonly crc32: number
}

/** Of what a savepoint was taken. */
export interface SavepointOrigin {
  /** In a stack's sources positions are those of its streams, and in a backfill's those of its archive, which nothing can go on from that does not read the same. */
  readonly kind: 'stack' | 'directory' | 'backfill'
  readonly name: string
  /** Of a stack: the Kinesis streams that its sources read, by the ids of their stages. Only a stack that reads the same can go on from the positions. */
  readonly streams?: Readonly<Record<string, string>>
}

/** A checkpoint's manifest whose blobs are files of the savepoint itself, by their names in it, and what these are to be like. */
export interface SavepointManifest extends Manifest {
  /** Of the savepoint, epoch ms; `createdAt` is of the checkpoint. */
  readonly takenAt: number
  readonly takenFrom: SavepointOrigin
  readonly files: readonly SavepointFile[]
}

export function fileOf(name: string, data: Uint8Array): SavepointFile {
  return { name, bytes: data.length, crc32: crc32(data) }
}

export function encodeSavepoint(manifest: SavepointManifest): Uint8Array {
  return encodeManifest(manifest)
}

/**
 * The manifest of the savepoint in `blobs`; `place` is its name for people.
 * @throws SnapshotError when there is none, or it is damaged, or of another format
 */
export async function readSavepoint(blobs: Pick<Blobs, 'get'>, place: string): Promise<SavepointManifest> {
  const bytes = await blobs.get(METADATA)
  if (bytes === undefined) throw new SnapshotError(`there is no savepoint at ${place}: it has no ${METADATA}`)
  const manifest = decodeManifest(bytes, `${METADATA} of ${place}`) as SavepointManifest
  const fault = manifestFault(manifest)
  if (fault !== undefined)
    throw new SnapshotError(`${METADATA} of ${place} is damaged, or of another Millrace: ${fault} is not what it should be`)
  const { files } = manifest
  if (!Array.isArray(files)) throw new SnapshotError(`${place} is no savepoint: its ${METADATA} is that of a checkpoint`)
  // Names become paths.
  const strange = files.find(({ name }) => !isDataFile(name))
  if (strange !== undefined)
    throw new SnapshotError(`${METADATA} of ${place} names a file that no savepoint has: ${strange.name}`)
  return manifest
}

/** The savepoint's files, each checked when it is read. */
export function checkedFiles(blobs: Blobs, { files }: SavepointManifest, place: string): Blobs {
  const known = new Map(files.map(file => [file.name, file]))
  return {
    ...blobs,
    async get(name) {
      const file = known.get(name)
      if (file === undefined) return undefined
      const data = await blobs.get(name)
      const damage = damageOf(file, data)
      if (damage !== undefined)
        throw new SnapshotError(`${name} of ${place} ${damage}. Nothing can start from it: take another savepoint or checkpoint`)
      return data
    },
  }
}

/** What is wrong with a file; undefined: nothing. */
export function damageOf(file: SavepointFile, data: Uint8Array | undefined): string | undefined {
  if (data === undefined) return 'is missing'
  if (data.length !== file.bytes) return `is damaged: it has ${data.length} of ${file.bytes} bytes`
  return crc32(data) === file.crc32 ? undefined : 'is damaged: it fails its checksum'
}
