import { crc32 } from 'node:zlib'
import type { Blobs } from '../ports.ts'
import type { HeadFields } from '../protocol/item.ts'
import { SnapshotError } from '../snapshot/error.ts'
import type { Runs } from '../snapshot/runs.ts'
import { pack, unpack } from '../state/codec.ts'
import type { ChangesRef } from './changes.ts'

const MANIFEST_VERSION = 1

/** One subtask in a checkpoint. */
export interface SubtaskSnapshot {
  readonly stage: number
  readonly shard: number
  readonly log: string
  /** The cut. */
  readonly version: number
  readonly attempt: string
  /** All that the subtask was at the cut, besides keyed state. */
  readonly head: HeadFields
  /** Blobs with the records that were on their way to it. */
  readonly channelState: readonly string[]
  /** Its shard was split or merged before the cut: this is its end. Those that took over are behind it, and hold only what has changed since. */
  readonly ended?: true
  /** It has ended, is in the base, and has nothing left there that goes later: the next checkpoint has it as it is here. */
  readonly settled?: true
  /** The key groups that it owns: from <= group < to. Absent: each subtask of its stage is one that was there from the beginning. */
  readonly groups?: readonly [from: number, to: number]
  /** Its keyed state; undefined: the run kept no snapshots. */
  readonly runs: Runs | undefined
  /** The version up to which `runs` holds it; absent: the cut. */
  readonly folded?: number
  /** What was changed behind that, up to the cut, in order. */
  readonly changes?: readonly ChangesRef[]
  /** Ids of the operators with keyed state, as the changes number them. */
  readonly keyed?: readonly string[]
}

/** What a checkpoint consists of: written once, after all its parts are durable and before it is decided. With the blobs that it names it is enough to start again. */
export interface Manifest {
  readonly pipeline: string
  readonly run: string
  readonly checkpoint: number
  /** Epoch ms. */
  readonly createdAt: number
  /** Stages, operators, states and parallelism (graph/shape.ts). */
  readonly shape: string
  /** Names of each source's splits: a position belongs to a split. */
  readonly splits: Readonly<Record<string, readonly string[]>>
  readonly subtasks: readonly SubtaskSnapshot[]
}

const DIGITS = 12

/** All manifests of a run start with this. */
export function manifestsOf(run: string): string {
  return `checkpoints/${run}/`
}

export function manifestKey(run: string, checkpoint: number): string {
  return `${manifestsOf(run)}${String(checkpoint).padStart(DIGITS, '0')}/_metadata`
}

/** Checkpoints of a run that have a manifest, oldest first: decided or not. */
export async function listManifests(blobs: Pick<Blobs, 'list'>, run: string): Promise<number[]> {
  const prefix = manifestsOf(run)
  const keys = await blobs.list(prefix)
  return keys.filter(k => k.endsWith('/_metadata')).map(k => Number(k.slice(prefix.length, prefix.length + DIGITS)))
}

/** @throws SnapshotError when it is not there, is damaged, or of another format */
export async function readManifest(blobs: Pick<Blobs, 'get'>, run: string, checkpoint: number): Promise<Manifest> {
  const key = manifestKey(run, checkpoint)
  const bytes = await blobs.get(key)
  if (bytes === undefined) throw new SnapshotError(`there is no manifest ${key}`)
  return decodeManifest(bytes, key)
}

const MAGIC = 0x464d524d // 'MRMF'
const HEADER_BYTES = 16

export function encodeManifest(manifest: Manifest): Uint8Array {
  const body = pack(manifest)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt32LE(MANIFEST_VERSION, 4)
  header.writeUInt32LE(body.length, 8)
  header.writeUInt32LE(crc32(body), 12)
  return Buffer.concat([header, body])
}

/** @throws SnapshotError when it is damaged, or of another format; `key` says which it is */
export function decodeManifest(manifest: Uint8Array, key: string): Manifest {
  const bytes = Buffer.from(manifest.buffer, manifest.byteOffset, manifest.byteLength)
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) throw new SnapshotError(`${key} is no manifest`)
  const version = bytes.readUInt32LE(4)
  if (version !== MANIFEST_VERSION)
    throw new SnapshotError(`manifest ${key} has format ${version}; this Millrace reads format ${MANIFEST_VERSION}`)
  const body = bytes.subarray(HEADER_BYTES)
  if (body.length !== bytes.readUInt32LE(8) || crc32(body) !== bytes.readUInt32LE(12))
    throw new SnapshotError(`manifest ${key} is damaged: it fails its checksum`)
  return unpackManifest(body, key)
}

function unpackManifest(body: Uint8Array, key: string): Manifest {
  try {
    const manifest = unpack<Manifest | undefined>(body)
    if (Array.isArray(manifest?.subtasks) && typeof manifest.shape === 'string') return manifest
  } catch (cause) {
    throw new SnapshotError(`manifest ${key} is damaged: its body can't be read`, { cause })
  }
  throw new SnapshotError(`manifest ${key} is damaged: its body is no manifest`)
}
