import assert from 'node:assert/strict'
import type { Blobs } from '../../../runtime/ports.ts'
import { diffSavepoints } from '../../../runtime/savepoint/diff.ts'
import {
  checkedFiles,
  encodeSavepoint,
  fileOf,
  readSavepoint,
  type SavepointManifest,
} from '../../../runtime/savepoint/format.ts'
import { inspectSavepoint } from '../../../runtime/savepoint/inspect.ts'
import { METADATA } from '../../../runtime/savepoint/names.ts'
import { verifySavepoint } from '../../../runtime/savepoint/verify.ts'
import { SnapshotError } from '../../../runtime/snapshot/error.ts'
import { memoryBlobs } from '../../connectors/memory-blobs.ts'
import { mutate } from '../mutate.ts'
import { mutateValue } from '../mutate-value.ts'
import { shopSavepoint } from '../shop.ts'
import type { Target } from '../target.ts'

type Files = Map<string, Uint8Array>

interface Whole {
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly manifest: SavepointManifest
  readonly inspected: unknown
}

let known: Promise<Whole> | undefined

/** A savepoint with a damaged file, with a file that is another and right by its checksum, or with another manifest. */
export const savepoints: Target = {
  name: 'savepoints',
  async once(dice) {
    known ??= whole()
    const base = await known
    const files: Files = new Map(base.files)
    const name = dice.pick([...files.keys()].filter(f => f !== METADATA))
    switch (dice.below(6)) {
      case 0: // one file is damaged, or gone
        if (dice.chance(0.1)) files.delete(name)
        else files.set(name, mutate(files.get(name)!, dice, files.get(dice.pick([...files.keys()]))!))
        return damagedFile(files, name, base)
      case 1: // the manifest is damaged
        files.set(METADATA, mutate(files.get(METADATA)!, dice))
        return damagedManifest(files, base)
      case 2: // a file that was written so
      case 3:
        files.set(name, mutate(files.get(name)!, dice, files.get(dice.pick([...files.keys()]))!))
        return strange(files, sealed(base.manifest, files), base)
      default: // a manifest that was written so
        return strange(files, mutateValue(base.manifest, dice), base)
    }
  },
}

async function whole(): Promise<Whole> {
  const files = await shopSavepoint()
  const manifest = await readSavepoint(blobsOf(files), 'it')
  assert.deepEqual((await verifySavepoint(blobsOf(files), 'it')).damages, [])
  return { files, manifest, inspected: await inspectSavepoint(blobsOf(files), manifest) }
}

async function damagedFile(files: Files, name: string, { files: before, inspected }: Whole): Promise<boolean> {
  const { damages, manifest } = await verifySavepoint(blobsOf(files), 'it')
  const isSame = Buffer.from(files.get(name) ?? []).equals(before.get(name)!)
  assert.equal(damages.length, isSame ? 0 : 1, 'what is not as it was is told')
  const found = await answer(() => inspectSavepoint(checkedFiles(blobsOf(files), manifest, 'it'), manifest))
  if (isSame || name.startsWith('channels/')) assert.deepEqual(found, inspected)
  else assert.equal(found, undefined, 'and nothing of it is shown')
  return isSame
}

async function damagedManifest(files: Files, { files: before }: Whole): Promise<boolean> {
  const isRead = (await answer(() => readSavepoint(blobsOf(files), 'it'))) !== undefined
  assert.equal(isRead, Buffer.from(files.get(METADATA)!).equals(before.get(METADATA)!), 'what is not as it was is refused')
  return isRead
}

/** Whatever it says, those who look at it answer or refuse. */
async function strange(files: Files, manifest: unknown, { manifest: other, files: others }: Whole): Promise<boolean> {
  files.set(METADATA, encodeSavepoint(manifest as SavepointManifest))
  const read = await answer(() => readSavepoint(blobsOf(files), 'it'))
  if (read === undefined) return false
  const blobs = checkedFiles(blobsOf(files), read, 'it')
  const looked = [
    await answer(() => verifySavepoint(blobsOf(files), 'it')),
    await answer(() => inspectSavepoint(blobs, read)),
    await answer(() => diffSavepoints({ blobs, manifest: read }, { blobs: blobsOf(others), manifest: other }, 3)),
  ]
  return looked.every(found => found !== undefined)
}

/** Undefined: it was refused. */
async function answer<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SnapshotError) return undefined
    throw error
  }
}

/** With the sizes and checksums that the files have now. */
function sealed(manifest: SavepointManifest, files: Files): SavepointManifest {
  return { ...manifest, files: manifest.files.map(({ name }) => fileOf(name, files.get(name)!)) }
}

function blobsOf(files: ReadonlyMap<string, Uint8Array>): Blobs {
  return { ...memoryBlobs(), get: async name => files.get(name) }
}
