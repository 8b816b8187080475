import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { caller } from '../../runtime/aws/call.ts'
import { openClients } from '../../runtime/aws/clients.ts'
import { openObjectList } from '../../runtime/aws/functions/object-list.ts'
import { positionOf } from '../../runtime/aws/functions/object-reader.ts'
import { meters } from '../../runtime/aws/meter.ts'
import { type ObjectRef, s3Objects, UnreadableObjectError } from '../../runtime/aws/objects.ts'
import { systemClock, systemRandom } from '../../runtime/embedded/clock.ts'
import { loadHead } from '../../runtime/protocol/log.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { bodyOf } from '../functions/objects.ts'
import { generate, visits } from '../functions/visits.ts'
import type { StackSource } from './cdk.ts'
import { deployAnew } from './deploy-anew.ts'
import { type Deployed, until } from './deployed.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'

const source: StackSource = { stack: 'Objects', app: 'test/localstack/stacks/objects-app.ts' }
const text = (lines: readonly string[]) => lines.map(line => `${line}\n`).join('')

describe('objects of a bucket as a source', { skip: withoutLocalStack }, () => {
  const { s3, close } = openClients(clientOptions)
  const sqs = new SQSClient(clientOptions)
  let deployed: Deployed
  let bucket: string
  before(async () => {
    const anew = await deployAnew(source, visits())
    deployed = anew.deployed
    bucket = anew.outputs.SourceBucket!
  })
  after(async () => {
    deployed?.close()
    sqs.destroy()
    close()
  })

  /** Until the list of the source's only subtask is read, and has so many objects. Gives them in its order. */
  async function read(objects: number): Promise<ObjectRef[]> {
    const { log } = deployed.state
    const name = (await deployed.topology()).log(0, 0)
    const list = openObjectList(log, `${name}/objects`)
    return until(`${objects} objects`, async () => {
      const { head } = await loadHead(log, name, Number.POSITIVE_INFINITY)
      const { slot } = positionOf(head.fields.source)
      if (slot === 1) return undefined
      const { listed } = await list.read(1, 1000)
      return listed.length === objects && slot > listed.at(-1)!.slot ? listed.map(({ object }) => object) : undefined
    })
  }

  test('what is put is read, once: packed or not, large, with any name; what was there before, by a message like theirs', async () => {
    const early = generate(60, 1)[0]!.slice(0, -1)
    const rest = generate(30_000, 1, 1)[0]!
    const cut = [0, 10, 20, 200, rest.length]
    const parts = cut.slice(1).map((end, i) => text(rest.slice(cut[i], end)))
    const contents = new Map<string, readonly [string | Buffer, readonly string[]]>([
      ['in/plain.ndjson', [parts[0]!, rest.slice(cut[0], cut[1])]],
      ['in/a b+c%20é.ndjson', [gzipSync(parts[1]!), rest.slice(cut[1], cut[2])]],
      ['in/2026/zstd.ndjson', [zstdCompressSync(parts[2]!), rest.slice(cut[2], cut[3])]],
      ['in/large.ndjson', [parts[3]!, rest.slice(cut[3], cut[4])]],
      ['before.ndjson', [text(early), early]],
    ])
    // Not announced: it has another prefix, as what was there before would have none that somebody heard of.
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'before.ndjson', Body: text(early) }))
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'in/other.txt', Body: 'not read' }))
    const sent = await headOf(s3, bucket, 'before.ndjson')
    for (let copies = 0; copies < 2; copies++) await announce(sqs, deployed, sent)
    await read(1)
    for (const [Key, [Body]] of [...contents].slice(0, -1)) await s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body }))
    await announce(sqs, deployed, await headOf(s3, bucket, 'in/plain.ndjson'))
    // LocalStack announces keys as URLs have them.
    const order = (await read(contents.size)).map(({ key }) => (contents.has(key) ? key : decodeURIComponent(key)))
    assert.deepEqual(order.toSorted(), [...contents.keys()].sort())
    await deployed.settle()
    const lines = order.flatMap(key => contents.get(key)![1])
    assert.deepEqual(sorted(await deployed.rows('pages')), (await expected(visits(), [lines], 1)).pages)
    assert.deepEqual([await deployed.rows('rejected'), await deployed.deadLetters()], [[], []])
  })

  test('what is gone before it is read, and a message that is none, are given up with their reasons', async () => {
    await announce(sqs, deployed, { bucket, key: 'in/gone', version: undefined, etag: 'none', size: 7 })
    await sqs.send(new SendMessageCommand({ QueueUrl: queueOf(deployed), MessageBody: 'hello' }))
    const letters = await until('two letters', async () => {
      const found = await deployed.deadLetters()
      return found.length === 2 ? found : undefined
    })
    assert.deepEqual(letters.map(l => [l.object, l.reason.slice(0, 48)]).sort(), [
      [undefined, 'no notification of a new object: it is not JSON:'],
      [`s3://${bucket}/in/gone`, 'it was deleted before it was read'],
    ])
  })

  test("S3's own answers: ranges, and what was overwritten or deleted, with versions and without", async () => {
    const objects = s3Objects(s3, caller({ clock: systemClock, random: systemRandom, meters: meters() }))
    const put = async (body: string) => {
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'answers', Body: body }))
      return headOf(s3, bucket, 'answers')
    }
    const said = (object: ObjectRef) =>
      objects.read(object, 0, 2).then(String, error => {
        assert.ok(error instanceof UnreadableObjectError, String(error))
        return error.message
      })
    const [first, second] = [await put('0123456789'), await put('abcdefghij')]
    assert.equal(Buffer.from(await objects.read(second, 3, 7)).toString(), 'defg')
    assert.equal(await said(first), 'it was overwritten before it was read, in a bucket without versions')
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'answers' }))
    assert.equal(await said(second), 'it was deleted before it was read')
    await s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }))
    const [third, fourth] = [await put('ABC'), await put('DEF')]
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'answers' }))
    for (const [object, begin] of [
      [third, 'AB'],
      [fourth, 'DE'],
    ] as const)
      assert.equal(Buffer.from(await objects.read(object, 0, 2)).toString(), begin)
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'answers', VersionId: third.version }))
    assert.equal(await said(third), 'this version was deleted before it was read')
  })
})

function queueOf({ functions }: Deployed): string {
  return (functions['source-visits'] as unknown as { queue: string }).queue
}

/** As docs/aws.md says for objects that were there before. */
async function announce(sqs: SQSClient, deployed: Deployed, object: ObjectRef): Promise<void> {
  await sqs.send(new SendMessageCommand({ QueueUrl: queueOf(deployed), MessageBody: bodyOf(object) }))
}

async function headOf(s3: S3Client, bucket: string, key: string): Promise<ObjectRef> {
  const { ETag, ContentLength, VersionId } = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
  return { bucket, key, version: VersionId, etag: ETag!.replaceAll('"', ''), size: ContentLength! }
}
