import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GetObjectCommandInput } from '@aws-sdk/client-s3'
import { caller } from '../../runtime/aws/call.ts'
import { openS3 } from '../../runtime/aws/clients.ts'
import { meters } from '../../runtime/aws/meter.ts'
import { type ObjectRef, s3Objects, UnreadableObjectError } from '../../runtime/aws/objects.ts'
import { fakeClient, fakeClock, fakeRandom, serviceError } from './fakes.ts'

const object: ObjectRef = { bucket: 'in', key: 'a', version: undefined, etag: 'e', size: 10 }

/** Objects of a client that answers so. */
function answering(answer: (input: GetObjectCommandInput) => object) {
  const asked: GetObjectCommandInput[] = []
  const client = fakeClient((_, input) => {
    asked.push(input)
    return answer(input)
  })
  const call = caller({ clock: fakeClock(), random: fakeRandom(), meters: meters() })
  return { asked, objects: s3Objects(client, call) }
}

const bytes = (total: number) => ({
  ContentRange: `bytes 2-4/${total}`,
  Body: { transformToByteArray: async () => new Uint8Array([1, 2, 3]) },
})

const failing = (name: string) => () => {
  throw serviceError(name)
}

describe('reading an object of S3', () => {
  test('asks for a range of these bytes, and no others that lie under the key by now', async () => {
    const { asked, objects } = answering(() => bytes(10))
    assert.deepEqual(await objects.read(object, 2, 5), new Uint8Array([1, 2, 3]))
    await objects.read({ ...object, version: 'v1' }, 0, 10)
    const same = { Bucket: 'in', Key: 'a', IfMatch: '"e"' }
    assert.deepEqual(asked, [
      { ...same, VersionId: undefined, Range: 'bytes=2-4' },
      { ...same, VersionId: 'v1', Range: 'bytes=0-9' },
    ])
  })

  test('says why an object can never be read; what is missing otherwise is an error of the service', async () => {
    for (const [name, said] of [
      ['NoSuchKey', /^it was deleted/],
      ['NoSuchVersion', /^this version was deleted/],
      ['PreconditionFailed', /^it was overwritten/],
      ['InvalidObjectState', /^it is archived/],
      ['InvalidRange', /^it has fewer bytes than were announced/],
    ] as const)
      await assert.rejects(
        answering(failing(name)).objects.read(object, 0, 1),
        (error: Error) => error instanceof UnreadableObjectError && said.test(error.message),
      )
    await assert.rejects(answering(failing('AccessDenied')).objects.read(object, 0, 1), /s3:\/\/in\/a is not allowed/)
    await assert.rejects(answering(failing('NoSuchBucket')).objects.read(object, 0, 1), /s3:\/\/in\/a is not there/)
  })

  test('refuses one that has another size than was announced: a part of it would be lost in silence', async () => {
    for (const total of [9, 11])
      await assert.rejects(answering(() => bytes(total)).objects.read(object, 2, 5), {
        name: 'UnreadableObjectError',
        message: `it was announced with 10 bytes, and has ${total}`,
      })
  })

  test('… and gives its connection back: the next ones are read however many were refused', async () => {
    let connections = 0
    const body = Buffer.alloc(1 << 20)
    const server = createServer((_, response) => {
      response.writeHead(206, { 'content-range': `bytes 0-${body.length - 1}/99999999`, 'content-length': body.length })
      response.end(body)
    })
    server.on('connection', socket => {
      connections++
      socket.on('error', () => {})
      socket.on('close', () => connections--)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
    const client = openS3({ endpoint, region: 'us-east-1', credentials })
    try {
      const objects = s3Objects(client, caller({ clock: fakeClock(), random: fakeRandom(), meters: meters() }))
      for (let i = 0; i < 20; i++)
        await assert.rejects(objects.read({ ...object, size: body.length }, 0, body.length), {
          message: /^it was announced with 1048576 bytes, and has 99999999$/,
        })
      for (let tries = 0; connections > 0; tries++) {
        assert.ok(tries < 200, `${connections} connections are still open`)
        await sleep(10)
      }
    } finally {
      client.destroy()
      server.closeAllConnections()
      server.close()
    }
  })

  test('finds a key that comes as URLs have it, if there is none as it comes', async () => {
    const only = (key: string) =>
      answering(({ Key }) => {
        if (Key === key) return bytes(10)
        return failing('NoSuchKey')()
      })
    for (const [announced, key] of [
      ['a+b%2Bc%25', 'a b+c%'],
      ['a+b', 'a+b'],
      ['50%', '50%'],
    ] as const)
      assert.equal((await only(key).objects.read({ ...object, key: announced }, 2, 5)).length, 3)
    await assert.rejects(only('other').objects.read({ ...object, key: 'a+b' }, 2, 5), /^UnreadableObjectError: it was deleted/)
  })
})
