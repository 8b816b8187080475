import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { BatchResponse } from '../../runtime/aws/functions/event.ts'
import type { QueueEvent } from '../../runtime/aws/functions/object-event.ts'
import { openObjectList, subtaskOfObject } from '../../runtime/aws/functions/object-list.ts'
import { type ObjectPosition, positionOf } from '../../runtime/aws/functions/object-reader.ts'
import { type ObjectRef, type Objects, UnreadableObjectError } from '../../runtime/aws/objects.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import type { EmbeddedWorld } from './embedded-world.ts'

export interface MemoryBucket extends Objects {
  /** Writes an object; with versions, what was there before stays. */
  put(key: string, content: string | Uint8Array): ObjectRef
  delete(key: string): void
  /** Bytes of the largest read so far. */
  readonly largest: number
  readonly reads: number
}

/** What stands for S3: it answers a reader by key and entity tag, or by version. */
export function memoryBucket({ versions = false } = {}): MemoryBucket {
  const current = new Map<string, { object: ObjectRef; bytes: Buffer }>()
  const old = new Map<string, Buffer>()
  let written = 0
  const bucket = {
    largest: 0,
    reads: 0,
    put(key: string, content: string | Uint8Array) {
      const bytes = Buffer.from(content as string)
      const etag = createHash('md5').update(bytes).digest('hex')
      const object: ObjectRef = {
        bucket: 'in',
        key,
        version: versions ? `v${++written}` : undefined,
        etag,
        size: bytes.length,
      }
      current.set(key, { object, bytes })
      if (object.version !== undefined) old.set(object.version, bytes)
      return object
    },
    delete(key: string) {
      current.delete(key)
    },
    async read({ key, version, etag, size }: ObjectRef, from: number, to: number) {
      assert.ok(0 <= from && from < to && to <= size, `bytes ${from} to ${to} of ${size}`)
      bucket.reads++
      bucket.largest = Math.max(bucket.largest, to - from)
      const found = version === undefined ? current.get(key)?.bytes : old.get(version)
      if (found === undefined) throw new UnreadableObjectError('it was deleted before it was read')
      if (version === undefined && current.get(key)!.object.etag !== etag)
        throw new UnreadableObjectError('it was overwritten before it was read, in a bucket without versions')
      // As over a wire: in its own memory.
      return Buffer.from(found.subarray(from, to))
    },
  }
  return bucket
}

/** A message of EventBridge's rule, as the queue has it. */
export function bodyOf({ bucket, key, version, etag, size }: ObjectRef): string {
  const object = { key, size, etag, ...(version !== undefined && { 'version-id': version }), sequencer: '0' }
  return JSON.stringify({ 'detail-type': 'Object Created', source: 'aws.s3', detail: { bucket: { name: bucket }, object } })
}

let messages = 0

export function queueEvent(bodies: readonly string[]): QueueEvent {
  return { Records: bodies.map(body => ({ messageId: `m${++messages}`, body })) }
}

type Handler = (event: QueueEvent, context: { getRemainingTimeInMillis(): number }) => Promise<BatchResponse>

export interface ObjectQueue {
  send(...objects: ObjectRef[]): void
  readonly length: number
  /** One batch. False: there was nothing. */
  step(limit?: number): Promise<boolean>
}

/**
 * A queue and its mapping: what a handler does not report is gone for good, and what it does comes again, behind the others. An invocation that dies has told nothing.
 *
 * Whatever is gone has to be committed as read by then.
 */
export function objectQueue(
  world: EmbeddedWorld,
  handler: () => Handler,
  context: () => { getRemainingTimeInMillis(): number },
): ObjectQueue {
  let queue: { id: string; object: ObjectRef }[] = []
  return {
    send(...objects) {
      for (const object of objects) queue.push({ id: `q${++messages}`, object })
    },
    get length() {
      return queue.length
    },
    async step(limit = 10) {
      const batch = queue.slice(0, limit)
      if (batch.length === 0) return false
      const Records = batch.map(({ id, object }) => ({ messageId: id, body: bodyOf(object) }))
      const failed = await handler()(JSON.parse(JSON.stringify({ Records })), context()).then(
        ({ batchItemFailures }) => new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier)),
        () => new Set(batch.map(({ id }) => id)),
      )
      const again = batch.filter(({ id }) => failed.has(id))
      for (const { id, object } of batch) if (!failed.has(id)) await checkCommitted(world, object)
      queue = [...queue.slice(batch.length), ...again]
      return true
    },
  }
}

export async function positionCommitted({ ports, topology }: EmbeddedWorld, subtask = 0): Promise<ObjectPosition> {
  const { head } = await loadHead(ports.log, topology.log(0, subtask), Number.POSITIVE_INFINITY)
  return positionOf(head.fields.source)
}

export function listOf({ ports, topology }: EmbeddedWorld, subtask: number) {
  return openObjectList(ports.log, `${topology.log(0, subtask)}/objects`)
}

async function checkCommitted(world: EmbeddedWorld, object: ObjectRef): Promise<void> {
  const subtask = subtaskOfObject(object, world.topology.stages[0]!.parallelism)
  const [slot] = await listOf(world, subtask).append([object])
  assert.ok(slot! < (await positionCommitted(world, subtask)).slot, `the message of ${object.key} is gone, which is not read`)
}

/** A key that makes an object of a subtask. */
export function keyFor(bucket: MemoryBucket, name: string, content: string | Uint8Array, subtask: number, subtasks: number) {
  for (let i = 0; ; i++) {
    const object = bucket.put(`${name}-${i}.ndjson`, content)
    if (subtaskOfObject(object, subtasks) === subtask) return object
    bucket.delete(object.key)
  }
}
