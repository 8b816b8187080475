import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { seeded } from '../engine/events.ts'

/** Shares of requests, from 0 to 1. */
export interface Faults {
  /** Refused as throttled; the service never hears of them. */
  throttled: number
  /** Carried out, but the connection breaks before the answer. */
  answerLost: number
  /** Operations (`X-Amz-Target`, or the method for S3) whose answers are not lost. */
  answered?: readonly string[]
}

export interface FaultyProxy {
  readonly endpoint: string
  /** What was done so far. */
  readonly counts: { passed: number; throttled: number; lost: number }
  /** Answers by which the service itself throttled, by operation (`DynamoDB.PutItem`). */
  readonly refusals: ReadonlyMap<string, number>
  close(): Promise<void>
}

/** Stands between the clients and `target`, and does to requests what networks and busy services do. `seed` makes two runs alike. */
export async function openFaultyProxy(target: string, faults: Faults, seed: number): Promise<FaultyProxy> {
  const agent = new Agent({ keepAlive: true })
  const counts = { passed: 0, throttled: 0, lost: 0 }
  const refusals = new Map<string, number>()
  const random = seeded(seed)

  function refuse(incoming: IncomingMessage, answer: ServerResponse, operation: string | undefined): void {
    counts.throttled++
    incoming.resume()
    if (operation === undefined) {
      answer.writeHead(503, { 'content-type': 'application/xml' })
      answer.end('<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>')
    } else {
      answer.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
      answer.end(JSON.stringify({ __type: 'ProvisionedThroughputExceededException', message: 'slow down' }))
    }
  }

  const server = createServer((incoming, answer) => {
    const operation = incoming.headers['x-amz-target'] as string | undefined
    const [refused, lost] = [random() < faults.throttled, random() < faults.answerLost]
    if (refused) return refuse(incoming, answer, operation)
    const spared = (faults.answered ?? []).some(name => (operation ?? incoming.method!).endsWith(name))
    const { hostname, port } = new URL(target)
    const options = { hostname, port, agent, method: incoming.method, path: incoming.url, headers: incoming.headers }
    const outgoing = request(options, response => {
      if (operation !== undefined && /Throughput/.test(String(response.headers['x-amzn-errortype']))) {
        const name = operation.replace(/_\d+/, '')
        refusals.set(name, (refusals.get(name) ?? 0) + 1)
      }
      if (lost && !spared) {
        counts.lost++
        response.resume().on('end', () => answer.destroy())
        return
      }
      counts.passed++
      answer.writeHead(response.statusCode!, response.headers)
      response.pipe(answer)
    })
    outgoing.on('error', () => answer.destroy())
    incoming.pipe(outgoing)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))

  const close = async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    agent.destroy()
  }
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, counts, refusals, close }
}
