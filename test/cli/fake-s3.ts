import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** Objects of a page of a list: so that lists have several. */
const PAGE = 2

/** What answers as S3 does: lists, page by page, and ranges of objects. `requests` are the ranges that were read. */
export async function fakeS3(t: TestContext, bucket: string, objects: Map<string, Buffer>) {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://s3')
    const key = decodeURIComponent(url.pathname.slice(bucket.length + 2))
    if (key === '') {
      const prefix = url.searchParams.get('prefix') ?? ''
      const after = url.searchParams.get('continuation-token') ?? ''
      const keys = [...objects.keys()].filter(name => name.startsWith(prefix) && name > after).sort()
      const page = keys.slice(0, PAGE)
      const contents = page.map(name => {
        const body = objects.get(name)!
        return `<Contents><Key>${encodeURIComponent(name)}</Key><ETag>"${etagOf(body)}"</ETag><Size>${body.length}</Size></Contents>`
      })
      const next = keys.length > PAGE ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
      response.end(`<ListBucketResult>${contents.join('')}${next}</ListBucketResult>`)
      return
    }
    const body = objects.get(key)
    if (body === undefined || request.headers['if-match'] !== `"${etagOf(body)}"`) {
      response.writeHead(body === undefined ? 404 : 412)
      response.end(`<Error><Code>${body === undefined ? 'NoSuchKey' : 'PreconditionFailed'}</Code></Error>`)
      return
    }
    const [from, to] = request.headers.range!.slice('bytes='.length).split('-').map(Number) as [number, number]
    requests.push(`${key} ${from}-${to}`)
    const part = body.subarray(from, to + 1)
    response.writeHead(206, { 'content-range': `bytes ${from}-${from + part.length - 1}/${body.length}` })
    response.end(part)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const env = {
    AWS_ENDPOINT_URL: '',
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  }
  return { env, requests }
}

function etagOf(body: Buffer): string {
  return createHash('md5').update(body).digest('hex')
}
